"""Which candidate is sure to answer a request while its search still runs."""

import asyncio
from collections.abc import Sequence
from heapq import nlargest

from ttc_client.gateway.asked import Asked
from ttc_client.gateway.votes import MOST_OF, Winner, winner_of
from ttc_client.search.ballot import Ballot
from ttc_client.search.found import Pick
from ttc_client.search.results import Rules, candidates
from ttc_client.search.strategies import find_strategy
from ttc_client.search.watch import Watch
from ttc_client.types import Candidate, Trajectory


class Settling(Watch):
    """Count votes as completions come, until no later one can change which of them is sent.

    That may be known early where votes alone decide, each of a whole completion: a verifier may
    yet like a later candidate of the same answer better.
    """

    def __init__(self, asked: Asked, ballot: Ballot) -> None:
        params, strategy = asked.params, find_strategy(asked.params.strategy)
        kind = strategy.samples(params, strategy.settings_of(params))
        self._may_settle = (kind, strategy.needs) == ("independent", "nothing")
        self._asked, self._ballot = asked, ballot
        self._new: list[Trajectory] = []
        self._changed = asyncio.Event()
        self._sizes: dict[int, int] = {}
        self._num_seen = self._unbroken = 0
        self._votes: dict[str, float] = {}
        self._first: dict[str, Candidate] = {}

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        """Take note of some completions."""
        if not self._may_settle or not children:
            return
        size = sum(child.multiplicity for child in children)
        self._new += children
        self._num_seen += size
        self._sizes[children[0].path[0]] = size
        while size := self._sizes.get(self._unbroken, 0):  # so many are there without a gap
            self._unbroken += size
        self._changed.set()

    async def winner(self) -> Winner:
        """Wait until the winner is settled; for ever, where it never is before the end."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._count()
            if found := self._settled():
                return winner_of(found, self._asked.task)

    async def _count(self) -> None:
        new, self._new = self._new, []
        picks = [Pick(child, child.multiplicity) for child in new]
        read, _ = await candidates(picks, self._asked.params, self._ballot, Rules(), scored=False)
        voting = [candidate for candidate in read if candidate.group is not None]
        keys = await self._ballot.keys([candidate.answer for candidate in voting])
        for candidate, key in zip(voting, keys, strict=True):
            self._votes[key] = self._votes.get(key, 0.0) + candidate.votes
            first = self._first.setdefault(key, candidate)
            self._first[key] = min(first, candidate, key=lambda c: c.path)

    def _settled(self) -> Candidate | None:
        """Return the earliest candidate of the answer that no other can catch up with.

        None while its votes may be caught up with, votes may not decide (see `votes.decide`), or
        a completion before it is missing.
        """
        n, task = self._asked.params.n, self._asked.task
        leaders = nlargest(2, self._votes, key=self._votes.__getitem__)
        ahead, behind = [*(self._votes[key] for key in leaders), 0.0, 0.0][:2]
        if ahead <= behind + n - self._num_seen:
            return None
        deciding = ahead if task.calls else sum(self._votes.values())
        if deciding <= MOST_OF * n and (task.calls or not (task.name or task.form)):
            return None
        first = self._first[leaders[0]]
        return first if first.path[0] < self._unbroken else None
