"""How the causal PRMs read a solution: as a text after which the next token is the verdict.

A step is judged where the text that ends with it ends, never at a marker that is looked for:
a problem may hold markers as well. Knows nothing of servers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttc_client.ports import ScoreRequest
from ttc_client.prompts import (
    RLHFLOW_SYSTEM,
    math_shepherd_solution,
    rlhflow_approval,
    rlhflow_question,
)


@dataclass(frozen=True, slots=True)
class PRMFormat:
    """One family's way.

    `solution(problem, steps)` is the text up to the verdict on the last step. It begins with
    `shared(problem, prefix)` for all steps that begin with the prefix, and no token crosses
    that boundary.
    """

    name: str
    shared: Callable[[str, Sequence[str]], str]
    solution: Callable[[str, Sequence[str]], str]


def _rlhflow_shared(problem: str, prefix: Sequence[str]) -> str:
    return RLHFLOW_SYSTEM + "".join(
        rlhflow_question(problem, index, step) + rlhflow_approval()
        for index, step in enumerate(prefix)
    )


def _rlhflow_solution(problem: str, steps: Sequence[str]) -> str:
    last = len(steps) - 1
    return _rlhflow_shared(problem, steps[:last]) + rlhflow_question(problem, last, steps[last])


def _nothing_shared(problem: str, prefix: Sequence[str]) -> str:
    """Keep the text whole, because SentencePiece marks where one begins."""
    return ""


RLHFLOW = PRMFormat("RLHFlow", _rlhflow_shared, _rlhflow_solution)
MATH_SHEPHERD = PRMFormat("Math-Shepherd", _nothing_shared, math_shepherd_solution)

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


def questions(form: PRMFormat, request: ScoreRequest) -> list[str]:
    """Return the text for each step to score, up to the verdict on it, in order."""
    return [
        form.solution(request.problem, (*request.prefix, *item[: end + 1]))
        for item in request.items
        for end in range(len(item))
    ]
