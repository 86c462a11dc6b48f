"""How the causal PRMs read a solution: as a text after which the next token is the verdict.

The verdict on a step is read at the end of a text that ends with that step, never by searching
for a marker, which the problem may contain too. Knows nothing of servers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttc_client.clients.prompts import (
    LLAMA3_USER,
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    math_shepherd_solution,
    rlhflow_question,
)
from ttc_client.search.ports import ScoreRequest


@dataclass(frozen=True, slots=True)
class PRMFormat:
    """The format of one family of PRMs.

    `shared(problem, prefix)` followed by `rest(problem, prefix, steps)` is the text of a solution
    up to the verdict on its last step. No token crosses the boundary between them.

    `turns(problem, steps)` are the texts up to each step's verdict, from the verdict before on.
    Each but the first begins with a special token, so that no token crosses there either; None
    where there is nothing of the kind.
    """

    name: str
    shared: Callable[[str, Sequence[str]], str]
    rest: Callable[[str, Sequence[str], Sequence[str]], str]
    turns: Callable[[str, Sequence[str]], list[str]] | None = None


def _rlhflow_shared(problem: str, prefix: Sequence[str]) -> str:
    """Return all that the steps share up to the last special token, where no token crosses."""
    turns = [
        rlhflow_question(problem, index, step) + RLHFLOW_APPROVAL
        for index, step in enumerate(prefix)
    ]
    return f"{RLHFLOW_SYSTEM}{''.join(turns)}{LLAMA3_USER}"


def _rlhflow_rest(problem: str, prefix: Sequence[str], steps: Sequence[str]) -> str:
    turns = [
        rlhflow_question(problem, index, step) for index, step in enumerate(steps, len(prefix))
    ]
    return RLHFLOW_APPROVAL.join(turns).removeprefix(LLAMA3_USER)


def _rlhflow_turns(problem: str, steps: Sequence[str]) -> list[str]:
    turns = [rlhflow_question(problem, index, step) for index, step in enumerate(steps)]
    return [RLHFLOW_SYSTEM + turns[0], *turns[1:]]


def _nothing_shared(problem: str, prefix: Sequence[str]) -> str:
    """Keep the text whole, because SentencePiece marks the beginning of a text."""
    return ""


def _math_shepherd_rest(problem: str, prefix: Sequence[str], steps: Sequence[str]) -> str:
    return math_shepherd_solution(problem, (*prefix, *steps))


RLHFLOW = PRMFormat("RLHFlow", _rlhflow_shared, _rlhflow_rest, _rlhflow_turns)
MATH_SHEPHERD = PRMFormat("Math-Shepherd", _nothing_shared, _math_shepherd_rest)

FORMATS = {"rlhflow": RLHFLOW, "math-shepherd": MATH_SHEPHERD}

_MISTRAL_LABELS = (648, 387)
"""The ids of "+" and "-" in Math-Shepherd's tokenizer (its model card)."""


def find_format(wanted: str, model: str, labels: tuple[int, int] | None = None) -> PRMFormat:
    """Return the format `wanted`, a key of FORMATS; "auto" goes by the model's name and labels."""
    if wanted != "auto":
        return FORMATS[wanted]
    if "shepherd" in model.lower() or labels == _MISTRAL_LABELS:
        return MATH_SHEPHERD
    return RLHFLOW


def questions(form: PRMFormat, request: ScoreRequest) -> tuple[str, list[str]]:
    """Return the shared beginning of the texts of all steps to score, and their rests, in order.

    The verdict on a step follows the end of its text.
    """
    problem, prefix = request.question, request.prefix
    rests = [
        form.rest(problem, prefix, item[: end + 1])
        for item in request.items
        for end in range(len(item))
    ]
    return form.shared(problem, prefix), rests
