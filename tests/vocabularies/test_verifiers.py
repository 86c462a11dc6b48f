"""Each way of asking vLLM for scores gives those of the published formula, in real vocabularies.

The problem and the steps hold the markers of all families, and blank lines inside of tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.torch.references import reference_scores
from ttc_client.clients.causal import CausalPRM
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

TOLERANCE = 1e-3
PROBLEM = (
    "Say ки, <extra_0> or + and - :\nwhat is $12 + 30$?\n\n\nAdd $5$.\n\nThen <|eot_id|> stop."
)
STEPS = (
    "## Step 1: Add the numbers.\n$12 + 30 = 42$, which is ки and <extra_0>.",
    "Add 5, so that $x = 47$\n\n\nnearly – done.\n\nAlmost",
    " Therefore, the final answer is: $\\boxed{47}$. I hope it is correct.",
)
SIBLING = "So $x = 37$."


@dataclass(frozen=True)
class Asked:
    """A server, the API that is found there, the family of its PRM and the PRM's directory."""

    server: str
    api: str
    family: str
    folder: str


LLAMA, SHEPHERD = "Tiny-Llama-3.2-Instruct", "tiny-math-shepherd-mistral"
ASKED = [
    Asked("llama", "generative-scoring", "rlhflow", LLAMA),
    Asked("llama", "completions", "rlhflow", LLAMA),
    Asked("shepherd", "generative-scoring", "math-shepherd", SHEPHERD),
    Asked("shepherd", "completions", "math-shepherd", SHEPHERD),
    Asked("qwen-prm", "step-pooling", "qwen-prm", "Tiny-Qwen2.5-Math-PRM"),
    Asked("classifier", "classify", "classifier", "Tiny-Qwen2.5-Reward"),
]
SAID = {
    "generative-scoring": "generative scoring",
    "step-pooling": "step pooling",
    "classify": "classification",
}


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.api}-{asked.family}")
async def test_scores_follow_the_published_formula(
    asked: Asked, urls: Mapping[str, str], folders: Mapping[str, Path], session: Session
) -> None:
    def reference(*steps: str) -> list[float]:
        return reference_scores(asked.family, folders[asked.folder], PROBLEM, steps)

    prm = await connect_prm(Server(session, urls[asked.server], 60), asked.api)
    whole = await prm.score(ScoreRequest(Problem(question=PROBLEM), (), (STEPS, STEPS[:1])))
    expected = reference(*STEPS)
    if asked.family == "classifier":  # one score of the whole
        expected = expected[-1:] * len(STEPS)
    assert whole.scores[0] == pytest.approx(expected, abs=TOLERANCE)
    assert whole.scores[1] == pytest.approx(reference(STEPS[0]), abs=TOLERANCE)
    scores = reference(*STEPS)
    assert max(scores) - min(scores) > 10 * TOLERANCE  # the model tells the steps apart

    items = ((STEPS[2],), (SIBLING,))
    after = await prm.score(ScoreRequest(Problem(question=PROBLEM), STEPS[:2], items))
    ends = [reference(*STEPS[:2], step)[-1] for (step,) in items]
    assert [score for (score,) in after.scores] == pytest.approx(ends, abs=TOLERANCE)


@pytest.mark.parametrize("asked", [a for a in ASKED if a.api in SAID], ids=lambda a: a.family)
async def test_the_api_is_found(asked: Asked, urls: Mapping[str, str], session: Session) -> None:
    prm = await connect_prm(Server(session, urls[asked.server], 60), "auto")
    assert SAID[asked.api] in prm.name


@pytest.mark.parametrize(
    ("server", "labels", "form"),
    [("llama", (10, 12), "RLHFlow"), ("shepherd", (648, 387), "Math-Shepherd")],
)
async def test_labels_are_the_ids_that_the_model_cards_give(
    server: str, labels: tuple[int, int], form: str, urls: Mapping[str, str], session: Session
) -> None:
    prm = await CausalPRM.connect(Server(session, urls[server], 60), "auto")
    assert (prm.labels, prm.form.name) == (labels, form)
