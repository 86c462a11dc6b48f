"""A vote while it is being counted: who leads, and how sure it is that the leader wins."""

from collections.abc import Sequence
from heapq import nlargest
from math import exp, lgamma, log
from typing import Any

from ttc_client.search.found import Pick
from ttc_client.search.search import Search
from ttc_client.search.voting import support
from ttc_client.types import Vote

_NEGLIGIBLE, _DIGITS = 1e-17, 12


class Tally:
    """The support for the two leading answers and for all, as one candidate after another comes."""

    def __init__(self, search: Search[Any]) -> None:
        self._search = search
        self._vote: Vote = search.decides_by
        self._support: dict[str, float] = {}
        self._leaders: Sequence[str] = ()
        self._total = 0.0

    async def add(self, picks: Sequence[Pick]) -> None:
        """Count some candidates: votes, or in the weighted vote, their weights."""
        groups = await self._search.vote(picks)
        keys = await self._search.ports.ballot.keys([group.answer for group in groups])
        for key, group in zip(keys, groups, strict=True):
            new = support(group, self._vote)
            self._support[key] = self._support.get(key, 0.0) + new
            self._total += new
            rivals = dict.fromkeys((*self._leaders, key))
            self._leaders = nlargest(2, rivals, key=self._support.__getitem__)

    @property
    def consensus(self) -> float:
        """The leader's share of all support, 0 while there is none."""
        return self._support[self._leaders[0]] / self._total if self._total else 0.0

    def is_decided(self, level: float, missing: int) -> bool:
        """Whether the leader is so sure to stay ahead, with votes of at most 1 missing."""
        first, second = [*(self._support[key] for key in self._leaders), 0.0, 0.0][:2]
        if self._vote == "weighted":
            return first > second + missing
        return posterior(first, second) >= level


def posterior(first: float, second: float) -> float:
    """Return the chance that most voters prefer the leader, given the votes for the two leaders.

    That is P(Beta(v1 + 1, v2 + 1) > 1/2), for counts of votes 1 - sum of C(n, k) / 2^n over k from
    0 to v2, with n = v1 + v2 + 1. The series of the incomplete beta function gives the same, also
    for sums of rewards.
    """
    n = first + second + 1
    term = exp(lgamma(n + 1) - lgamma(first + 2) - lgamma(second + 1) - (n + 1) * log(2))
    tail, index = 0.0, 0
    while term > tail * _NEGLIGIBLE:
        tail += term
        index += 1
        term *= (n + index) / (2 * (first + 1 + index))
    return round(1 - tail, _DIGITS)
