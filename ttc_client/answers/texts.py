r"""An answer as several rules of grading look at it.

Knows nothing of the rules.
"""

import re
from dataclasses import dataclass
from itertools import chain

from ttc_client.answers.names import RELATIONS, symbols
from ttc_client.answers.normalise import normalise
from ttc_client.answers.structure import nesting, split

Comparison = tuple[tuple[str, str], ...]
"""Pairs of a reading of the answer and one of the gold answer: right if all have equal keys."""

_SEPARATORS = frozenset({",", ";", r"\lor", r"\land"})
_MARKUP = re.compile(r"\\(?:text|math)(?:bf|rm|it|sf|tt)?\s*\{|\\[mh]box\s*\{|[{}$*]|\\[ ,;!]")


@dataclass(frozen=True, slots=True)
class Text:
    """An answer as it was written, and what several rules look at.

    `plain` is its plain LaTeX, "" where its brackets do not balance; `parts` are what stands
    between commas, `or` and `and`, `sides` what stands between relations, with those; `words` is
    the text without fonts, braces and dollar signs.
    """

    raw: str
    plain: str
    parts: list[str]
    sides: tuple[list[str], list[str]]
    words: str


def text_of(raw: str) -> Text:
    """Return an answer with what the rules look at."""
    plain = normalise(raw)
    if nesting(plain) is None:
        plain = ""
    parts, _ = split(plain, _SEPARATORS)
    words = " ".join(_MARKUP.sub(" ", raw).split())
    return Text(raw, plain, parts, split(plain, RELATIONS), words)


def names_another(answer: Text, gold: Text) -> bool:
    """Whether both say what they are the value of, and not the same: `x = 5` and `k = 5`.

    Nor is `(y,x) = (1,2)` what `(x,y) = (1,2)` is. Names of different kinds are not compared, since
    `y`, `f(2)` and `AB` may be one thing; nor are names in words.
    """
    ours, theirs = _named(answer), _named(gold)
    if len(ours) == len(theirs) == 1 and len(ours[0]) == len(theirs[0]) > 1:
        return ours != theirs
    mine, asked = {*chain(*ours)}, {*chain(*theirs)}
    is_alike = len(mine) == len(asked) and set(map(_kind, mine)) == set(map(_kind, asked))
    return bool(mine) and is_alike and mine.isdisjoint(asked)


def _kind(symbol: str) -> str:
    return "function" if symbol.endswith(")") else "figure" if symbol[1:].isupper() else "letter"


def _named(text: Text) -> list[tuple[str, ...]]:
    """Return the symbols of each name that stands beside a relation."""
    if not text.sides[1] and len(text.parts) == 1:
        return []
    found = [split(part, RELATIONS) for part in text.parts]
    sides = [side for sides, relations in found if relations for side in sides]
    return [each for side in sides if (each := symbols(side))]
