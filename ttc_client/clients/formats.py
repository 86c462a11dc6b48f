"""How the causal PRMs read a solution: as a text after which the next token is the verdict.

A step is judged where the text that ends with it ends, never at a marker that is looked for:
a problem may hold markers as well. Knows nothing of servers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttc_client.clients.prompts import (
    RLHFLOW_SYSTEM,
    math_shepherd_solution,
    rlhflow_approval,
    rlhflow_question,
)
from ttc_client.search.ports import ScoreRequest


@dataclass(frozen=True, slots=True)
class PRMFormat:
    """One family's way.

    `shared(problem, prefix)` and then `rest(problem, prefix, steps)` are the text of a solution
    up to the verdict on its last step. No token crosses the boundary between them.
    """

    name: str
    shared: Callable[[str, Sequence[str]], str]
    rest: Callable[[str, Sequence[str], Sequence[str]], str]


def _rlhflow_shared(problem: str, prefix: Sequence[str]) -> str:
    return RLHFLOW_SYSTEM + "".join(
        rlhflow_question(problem, index, step) + rlhflow_approval()
        for index, step in enumerate(prefix)
    )


def _rlhflow_rest(problem: str, prefix: Sequence[str], steps: Sequence[str]) -> str:
    return rlhflow_approval().join(
        rlhflow_question(problem, index, step) for index, step in enumerate(steps, len(prefix))
    )


def _nothing_shared(problem: str, prefix: Sequence[str]) -> str:
    """Keep the text whole, because SentencePiece marks where one begins."""
    return ""


def _math_shepherd_rest(problem: str, prefix: Sequence[str], steps: Sequence[str]) -> str:
    return math_shepherd_solution(problem, (*prefix, *steps))


RLHFLOW = PRMFormat("RLHFlow", _rlhflow_shared, _rlhflow_rest)
MATH_SHEPHERD = PRMFormat("Math-Shepherd", _nothing_shared, _math_shepherd_rest)

FORMATS = {"rlhflow": RLHFLOW, "math-shepherd": MATH_SHEPHERD}

_MISTRAL_LABELS = (648, 387)
"""What "+" and "-" are to Math-Shepherd's tokenizer (its model card)."""


def find_format(wanted: str, model: str, labels: tuple[int, int] | None = None) -> PRMFormat:
    """Return the format asked for; "auto" goes by the model's name and the ids of its labels."""
    if wanted != "auto":
        return FORMATS[wanted]
    if "shepherd" in model.lower() or labels == _MISTRAL_LABELS:
        return MATH_SHEPHERD
    return RLHFLOW


def questions(form: PRMFormat, request: ScoreRequest) -> tuple[str, list[str]]:
    """Return what the texts of all steps to score begin with, and how each goes on, in order.

    A text ends where the verdict on its step follows.
    """
    problem, prefix = request.question, request.prefix
    rests = [
        form.rest(problem, prefix, item[: end + 1])
        for item in request.items
        for end in range(len(item))
    ]
    return form.shared(problem, prefix), rests
