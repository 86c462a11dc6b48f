r"""An answer as several rules of grading look at it.

Knows nothing of the rules.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from ttc_client.answers.names import RELATIONS
from ttc_client.answers.normalise import normalise
from ttc_client.answers.structure import nesting, split

Comparison = tuple[tuple[str, str], ...]
"""Pairs of a reading of the answer and one of the gold answer: right if all have equal keys."""

_SEPARATORS = frozenset({",", ";", r"\lor", r"\land"})
_MARKUP = re.compile(r"\\(?:text|math)(?:bf|rm|it|sf|tt)?\s*\{|\\[mh]box\s*\{|[{}$*]|\\[ ,;!]")


@dataclass(frozen=True)
class Text:
    """An answer as it was written, and what several rules look at."""

    raw: str

    @cached_property
    def plain(self) -> str:
        """The plain LaTeX, "" where its brackets do not balance."""
        text = normalise(self.raw)
        return text if nesting(text) is not None else ""

    @cached_property
    def words(self) -> str:
        """The text without fonts, braces and dollar signs."""
        return " ".join(_MARKUP.sub(" ", self.raw).split())

    @cached_property
    def parts(self) -> list[str]:
        return split(self.plain, _SEPARATORS)[0]

    @cached_property
    def sides(self) -> tuple[list[str], list[str]]:
        return split(self.plain, RELATIONS)
