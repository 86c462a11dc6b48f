"""How a judge ends, and what its end says. Pure; only what a judge wrote is read here.

A verdict stands after its marker, which occurs last where it occurs several times. What is not on
the menu, out of range or followed by more words is no verdict: it is missing, never "no".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from ttc_client.clients.logprobs import ChatToken, is_reported

_FORM = re.compile(
    r"(?P<marker>[A-Z]\w*): (?:(?P<low>\d+) to (?P<high>\d+)|(?P<good>\w+) or (?P<bad>\w+))"
)
_NUMBER = re.compile(r"(?P<number>[+-]?\d+(?:\.\d+)?)(?:\s*/\s*(?P<of>\d+)|(?P<percent>\s*%))?")
_END = re.compile(r"[\s*_`\"')}\]$]*(?:$|\n|[.;!](?!\d)|,\s*\D)")
"""What may follow a verdict: the end of its line or sentence."""

_DECORATION = r"[\s*_`]"
_BEFORE_VALUE = r"[\s*_`\"'($]*(?:\\(?:boxed|text|textbf|mathrm)\{)*"
_THOUGHT, _THOUGHT_END = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class VerdictForm:
    """`Marker: good or bad`, or `Marker: low to high`; the other pair of fields is empty.

    A verdict is 1 for `good` and 0 for `bad`, or the place of a number between `low` and `high`.
    """

    marker: str
    good: str = ""
    bad: str = ""
    low: int = 0
    high: int = 0

    @classmethod
    def read(cls, line: str) -> "VerdictForm | None":
        """Read a form as it is written at the end of a prompt; None for another line."""
        found = _FORM.fullmatch(line.strip())
        if found is None:
            return None
        if found["good"]:
            return cls(found["marker"], found["good"], found["bad"])
        low, high = int(found["low"]), int(found["high"])
        return cls(found["marker"], low=low, high=high) if low < high else None

    @property
    def is_choice(self) -> bool:
        """Whether the verdict is one of two words."""
        return bool(self.good)

    @property
    def line(self) -> str:
        """How it is asked for."""
        if self.is_choice:
            return f"{self.marker}: {self.good}\nor\n{self.marker}: {self.bad}"
        return f"{self.marker}: (a number from {self.low} to {self.high})"

    def verdict(self, text: str) -> float | None:
        """Return the verdict at the end of a judge's reply, from 0 to 1; None if there is none."""
        rest = self._after_marker(text)
        if rest is None:
            return None
        if not self.is_choice:
            return self._number(rest)
        for word, value in ((self.good, 1.0), (self.bad, 0.0)):
            if rest[: len(word)].lower() == word.lower() and _END.match(rest, len(word)):
                return value
        return None

    def probability(self, tokens: Sequence[ChatToken]) -> float | None:
        """Return P(good) among the two words, where the verdict stands; None if there is none.

        The place is found from the end, after the marker: the word may occur in the critique too.
        """
        text = "".join(token.token for token in tokens)
        rest = self._after_marker(text)
        if rest is None or self.verdict(text) is None:
            return None
        place, offset = len(text) - len(rest), 0
        for token in tokens:
            offset += len(token.token)
            if offset > place:
                return self._share(token)
        return None

    def _share(self, token: ChatToken) -> float | None:
        alternatives = {other.token: other.logprob for other in token.top_logprobs or ()}
        alternatives.setdefault(token.token, token.logprob)
        mass = {self.good: 0.0, self.bad: 0.0}
        for text, logp in alternatives.items():
            for word in mass:
                if is_reported(logp) and self._begins(word, text):
                    mass[word] += exp(logp)
        total = sum(mass.values())
        return mass[self.good] / total if total else None

    def _begins(self, word: str, token: str) -> bool:
        """Whether a token begins this word and not the other one."""
        other = self.bad if word == self.good else self.good
        start = token.strip().strip("*_`\"'").lower()
        return (
            bool(start) and word.lower().startswith(start) and not other.lower().startswith(start)
        )

    def _after_marker(self, text: str) -> str | None:
        """Return what follows the last marker, after a thought if there is one that ended."""
        text = text.rpartition(_THOUGHT_END)[2]
        if _THOUGHT in text:
            return None
        marker = rf"(?i)\b{re.escape(self.marker)}{_DECORATION}*:{_BEFORE_VALUE}"
        found = [*re.finditer(marker, text)]
        return text[found[-1].end() :] if found else None

    def _number(self, rest: str) -> float | None:
        found = _NUMBER.match(rest)
        if found is None or not _END.match(rest, found.end()):
            return None
        value = float(found["number"])
        of_another = found["of"] and int(found["of"]) != self.high
        of_hundred = found["percent"] and self.high != 100
        of_one = self.high > 1 and 0 < value < 1  # 0.8 of 100 is a share, not a score
        if of_another or of_hundred or of_one or not self.low <= value <= self.high:
            return None
        return (value - self.low) / (self.high - self.low)
