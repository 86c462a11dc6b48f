"""The published toolkit's own search code and ours, on the same made-up policy and PRM.

`golden.jsonl` holds, for each of `scripted.CASES`, the row that the toolkit itself wrote:
huggingface/search-and-learn at commit 6f81cac, its `best_of_n`, `beam_search` and `dvts`, then its
`score`. In place of `vllm.LLM` it was given an object whose `generate` calls `scripted.write` for
each prompt in turn, with a null stop reason at an end and at a limit, as vLLM has; in place of
its PRM one that splits texts as its RLHFlow PRM does and calls `scripted.judge`; in place of the
tokenizer's chat template one that puts the problem before the text; in place of
`datasets.Dataset` a list of rows; and its `np.argsort` was made stable, since the order of equal
scores is else the machine's. (Of these cases one turns out differently without that.) Nothing
else of it was changed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.sal.scripted import CASES, Case, judge, write
from ttc_client.sal import RULES, extract_answer
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.search.results import candidates, vote_on
from ttc_client.search.rewards import reduce_scores
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.search.voting import choices
from ttc_client.testing import run_search
from ttc_client.types import Candidate, Step, Usage

ROWS = [
    msgspec.json.decode(line)
    for line in (Path(__file__).parent / "golden.jsonl").read_bytes().splitlines()
]
FIELDS = {"naive": "prm", "weighted": "weighted", "maj": "majority"}


@dataclass
class MadeUpPolicy:
    """Write by the script; the turn of a continuation is what the toolkit's own order makes it."""

    case: Case
    asked: dict[int, list[SampleRequest]] = field(default_factory=dict)

    async def __call__(self, request: SampleRequest) -> Samples:
        together = self.asked.setdefault(len(request.trajectory.steps), [])
        together.append(request)
        await asyncio.sleep(0)  # until all that beam search asks for in this round is known
        steps = []
        for i in range(request.n):
            text, finish = write(
                self.case,
                request.trajectory.text,
                self._turn(request, i, together),
                to_end=not request.stop,
                limit=request.max_tokens,
            )
            steps.append(Step(text, finish, num_tokens=1))
        return Samples(tuple(steps), (), Usage())

    def _turn(self, request: SampleRequest, i: int, together: list[SampleRequest]) -> int:
        if request.temperature == 0:
            return -1
        if self.case.strategy != "beam":
            earlier = 0 if request.trajectory.steps else self.case.m * together.index(request)
            return earlier + i
        alike = [r for r in together if r.trajectory.text == request.trajectory.text]
        return i * len(alike) + alike.index(request)


async def made_up_prm(request: ScoreRequest) -> Scores:
    def steps(item: tuple[str, ...], i: int) -> tuple[str, ...]:
        return (*request.prefix, *item[: i + 1])

    scores = tuple(
        tuple(judge(request.question, steps(item, i)) for i in range(len(item)))
        for item in request.items
    )
    return Scores(scores, Usage())


async def each_by_itself(answers: Sequence[str]) -> Sequence[str]:
    """Key answers so that each is equivalent to itself alone."""
    return answers


BALLOT = Ballot(extract_answer, each_by_itself)


async def candidates_of(case: Case) -> tuple[Candidate, ...]:
    steps_ahead = StepwiseSettings(lookahead=case.lookahead)
    params = SearchParams(
        strategy=case.strategy,
        n=case.n,
        m=case.m,
        max_steps=case.max_steps,
        max_tokens=case.max_tokens,
        reduction=case.reduction,
        compat="sal",
        settings=steps_ahead if case.strategy != "best-of-n" else None,
    )
    found = await run_search(params, MadeUpPolicy(case), made_up_prm, question=case.problem)
    read, _ = await candidates(found.picks, params, BALLOT, RULES, scored=True)
    return read


@pytest.mark.parametrize(
    ("case", "row"),
    [*zip(CASES, ROWS, strict=True)],
    ids=[f"{i}-{c.strategy}" for i, c in enumerate(CASES)],
)
async def test_candidates_scores_and_predictions_are_the_toolkits(case: Case, row: dict[str, Any]):
    found = await candidates_of(case)
    assert [c.text for c in found] == row["completions"]
    scores = [[step.score for step in c.steps] for c in found]
    assert scores == row["scores"]
    best = max(found, key=lambda c: reduce_scores([s.score for s in c.steps], case.reduction))
    assert best.text == row["pred"]
    budgets = {int(name.split("@")[1]) for name in row if "@" in name}
    for n in budgets:
        _, groups = await vote_on(found[:n], BALLOT, RULES)
        chosen = choices(groups, scored=True)
        for kind, vote in FIELDS.items():
            assert row[f"pred_{kind}@{n}"] == rf"\boxed{{{chosen[vote]}}}", (kind, n)


def test_the_cases_hold_what_the_toolkit_does_differently():
    """Else the comparison would prove less than it says."""
    by_strategy = {
        strategy: [(c, r) for c, r in zip(CASES, ROWS, strict=True) if c.strategy == strategy]
        for strategy in ("beam", "dvts")
    }
    beams = [row["completions"] for _, row in by_strategy["beam"]]
    assert any(len(set(texts)) < len(texts) for texts in beams)  # copies
    siblings = [row["completions"] for _, row in by_strategy["dvts"]]
    assert any(text.endswith("\n\n") for texts in siblings for text in texts)  # unfinished
    looked = [row for case, row in by_strategy["dvts"] if case.lookahead]
    more = [
        len(scores) > len(text.split("\n\n"))
        for row in looked
        for text, scores in zip(row["completions"], row["scores"], strict=True)
    ]
    assert any(more)
    assert any(
        row[f"pred_maj@{case.n}"] == r"\boxed{}"
        for case, row in by_strategy["beam"]
        if f"pred_maj@{case.n}" in row
    )
