"""Bound the sequences in flight at a server, and serve the problem that began first first."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush

from ttc_client.middleware import A, Port, R
from ttc_client.middleware.deadlines import clock_stopped

_PROBLEMS_KEPT = 1 << 16

_Waiting = tuple[int, int, int, asyncio.Future[None]]
"""The problem's turn, the place in the queue, the sequences, and what to resolve."""


@dataclass(slots=True)
class Limiter:
    """Bound the sequences in flight at one server, for all searches of the process.

    Requests of the problem that was seen first come first, and in order, so that early problems
    finish and free their prefixes, instead of all advancing together. A request that is larger
    than the bound goes alone.
    """

    capacity: int
    in_flight: int = 0
    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _turns: OrderedDict[int, int] = field(default_factory=OrderedDict[int, int])
    _num_problems: int = 0
    _num_seen: int = 0

    @asynccontextmanager
    async def slots(self, num_sequences: int, problem: str = "") -> AsyncGenerator[None]:
        """Hold that many slots, waiting for them without a time-out."""
        turn = self._turn(hash(problem))
        if not self._waiting and self._fits(num_sequences):
            self.in_flight += num_sequences
        else:
            with clock_stopped():
                await self._wait(turn, num_sequences)
        try:
            yield
        finally:
            self._release(num_sequences)

    def _turn(self, problem: int) -> int:
        """Number the problems as they are first seen, and forget those that must long be done."""
        turn = self._turns.setdefault(problem, self._num_problems)
        if turn == self._num_problems:
            self._num_problems += 1
            if len(self._turns) > _PROBLEMS_KEPT:
                self._turns.popitem(last=False)
        return turn

    async def _wait(self, turn: int, num_sequences: int) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._num_seen += 1
        heappush(self._waiting, (turn, self._num_seen, num_sequences, admitted))
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._admit()  # it may have stood in the way of smaller ones
            else:
                self._release(num_sequences)
            raise

    def _fits(self, num_sequences: int) -> bool:
        return not self.in_flight or self.in_flight + num_sequences <= self.capacity

    def _release(self, num_sequences: int) -> None:
        self.in_flight -= num_sequences
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            *_, num_sequences, admitted = self._waiting[0]
            if not admitted.cancelled():
                if not self._fits(num_sequences):
                    return
                self.in_flight += num_sequences
                admitted.set_result(None)
            heappop(self._waiting)


def limited(port: Port[R, A], limiter: Limiter) -> Port[R, A]:
    """Let a request through once the limiter has room for its sequences."""

    async def call(request: R) -> A:
        async with limiter.slots(request.num_sequences, request.problem):
            return await port(request)

    return call
