"""What all who make keys share: the key of a string, of a set, and who keys expressions."""

import re
from collections.abc import Callable, Set
from typing import Literal

MAX_CHARS = 1_000
"""A longer answer is compared as a string."""

_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s+(?=\d)")

Kind = Literal["value", "equation", "inequality"]
"""What an expression f stands for: its value, the equation f = 0, or the inequality f < 0."""
ExpressionKey = Callable[[str, Kind], str]


class Refused(ValueError):  # noqa: N818 - a verdict on the text, not a fault
    """The text is not an expression, or one that costs too much: it is compared as a string."""


def string_key(text: str) -> str:
    """Return the key of an answer that is compared as a string.

    Its whitespace is left out, but for that between digits: `4 7` is not 47.
    """
    if len(text) > 100 * MAX_CHARS:
        return f"text:{text}"
    bare = "".join(_BETWEEN_DIGITS.sub("␣", text).split())
    return bare and f"text:{bare}"


def joined(members: Set[str]) -> str:
    """Return the key of a set: that of its member where it has one."""
    return next(iter(members)) if len(members) == 1 else f"{{{','.join(sorted(members))}}}"
