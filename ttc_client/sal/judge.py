"""What the toolkit takes for answers, rewards and votes."""

import re
from collections.abc import Sequence

from ttc_client.sal.searches import pieces
from ttc_client.search.results import Rules
from ttc_client.thoughts import Thought
from ttc_client.types import Finish, Reduction, Trajectory

_NUMBER = re.compile(r"-?\d*\.?\d+")


def _last_score(scores: Sequence[float | None], reduction: Reduction) -> float | None:
    """Return the last score, whatever the search ranks by."""
    return scores[-1]


def _always(answer: str, finish: Finish) -> bool:
    """Everything votes: what was cut, what had not ended, and what gives no answer."""
    return True


def _pieces(trajectory: Trajectory) -> Sequence[str]:
    return pieces(trajectory.text)


def _whole(trajectory: Trajectory) -> Thought:
    """Take the whole text for the response: the toolkit knows no thoughts."""
    return Thought("", trajectory.text)


RULES = Rules(
    read_steps=pieces,
    readings=_pieces,
    said=_whole,
    reward=_last_score,
    has_vote=_always,
)


def extract_answer(text: str) -> str:
    r"""Return the answer that the toolkit reads from a text, before it tidies up the spelling.

    The first of these that the text has: the first "final answer is $...$. I hope"; what follows
    the last "boxed", in braces or up to a dollar; what follows the last "he answer is", then
    "final answer is"; the last number of the whole text.
    """
    if "final answer is $" in text and "$. I hope" in text:
        _, _, rest = text.partition("final answer is $")
        answer = rest.partition("$. I hope")[0].strip()
    elif "boxed" in text:
        answer = _boxed(text.rpartition("boxed")[2])
    elif phrase := next((p for p in ("he answer is", "final answer is") if p in text), ""):
        answer = text.rpartition(phrase)[2].strip()
    else:
        answer = (["", *_NUMBER.findall(text.replace(",", ""))])[-1]
    return (
        re.sub(r"\n\s*", "", answer).removeprefix(":").removesuffix(".").removesuffix("/").strip()
    )


def _boxed(rest: str) -> str:
    """Return what is in the braces that a text begins with; all of it if they never close."""
    if not rest.startswith("{"):
        return rest.partition("$")[0].strip()
    depth = 0
    for place, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return rest[1:place]
    return rest[1:]
