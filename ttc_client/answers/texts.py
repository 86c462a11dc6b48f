r"""An answer as several rules of grading look at it.

Knows nothing of the rules.
"""

import re
from dataclasses import dataclass

from ttc_client.answers.names import RELATIONS
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
