"""Bound the sequences in flight at a server, and admit the oldest search first."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from ttc_client.deadlines import clock_stopped
from ttc_client.errors import TransientServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.context import current_call
from ttc_client.middleware.levels import Level

_OVERLOADED = (429, 503)

_Waiting = tuple[int, int, int, asyncio.Future[None]]
"""The search's turn, a running number, the sequences, and the future that admits them."""


@dataclass(slots=True)
class Limiter:
    """Bound the sequences in flight at one server, for all searches of the process.

    The oldest search is admitted first, and its requests in order, so that early problems finish
    and free their prefixes instead of all advancing together. A request larger than the bound is
    admitted when nothing else is in flight.
    """

    capacity: int
    in_flight: int = 0
    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _num_seen: int = 0
    _num_cancelled: int = 0
    _full_s: float = 0.0
    _full_since: float | None = None

    def slots(self, num_sequences: int) -> "_Slots":
        """Hold that many slots in an `async with`; wait for them first, with no time-out."""
        return _Slots(self, num_sequences)

    @property
    def full_s(self) -> float:
        """Total seconds so far in which requests waited for slots."""
        if self._full_since is None:
            return self._full_s
        return self._full_s + asyncio.get_running_loop().time() - self._full_since

    def resize(self, capacity: int) -> None:
        """Change the bound; requests in flight above it are not interrupted."""
        self.capacity = capacity
        self._admit()

    def take(self, num_sequences: int) -> bool:
        """Take that many slots if they are free and nobody waits; return whether they were."""
        if self._waiting or not self._fits(num_sequences):
            return False
        self.in_flight += num_sequences
        return True

    async def acquire(self, num_sequences: int) -> None:
        """Take that many slots; see `slots`."""
        if not self.take(num_sequences):
            with clock_stopped():
                await self._wait(num_sequences)

    def release(self, num_sequences: int) -> None:
        """Give back that many slots."""
        self.in_flight -= num_sequences
        self._admit()

    async def _wait(self, num_sequences: int) -> None:
        loop = asyncio.get_running_loop()
        admitted = loop.create_future()
        self._num_seen += 1
        heappush(self._waiting, (current_call().turn, self._num_seen, num_sequences, admitted))
        if self._full_since is None:
            self._full_since = loop.time()
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._forget_cancelled()
                self._admit()  # smaller requests behind it may fit now
            else:
                self.release(num_sequences)
            raise

    def _forget_cancelled(self) -> None:
        """Count a cancelled request, and rebuild the queue once they are half of it."""
        self._num_cancelled += 1
        if 2 * self._num_cancelled > len(self._waiting):
            self._waiting = [waiting for waiting in self._waiting if not waiting[-1].cancelled()]
            heapify(self._waiting)
            self._num_cancelled = 0

    def _fits(self, num_sequences: int) -> bool:
        return not self.in_flight or self.in_flight + num_sequences <= self.capacity

    def _admit(self) -> None:
        while self._waiting:
            *_, num_sequences, admitted = self._waiting[0]
            if admitted.cancelled():
                self._num_cancelled = max(0, self._num_cancelled - 1)
            elif not self._fits(num_sequences):
                return
            else:
                self.in_flight += num_sequences
                admitted.set_result(None)
            heappop(self._waiting)
        self._full_s, self._full_since = self.full_s, None


@dataclass(slots=True)
class _Slots:
    limiter: Limiter
    num_sequences: int

    def __aenter__(self) -> Awaitable[None]:
        return self.limiter.acquire(self.num_sequences)

    async def __aexit__(self, *_: object) -> None:
        self.limiter.release(self.num_sequences)


def limited(port: Port[R, A], limiter: Limiter) -> Port[R, A]:
    """Send a request once the limiter has room for its sequences; raise what the port raises."""

    async def limited_call(request: R) -> A:
        num_sequences = request.num_sequences
        if not limiter.take(num_sequences):
            await limiter.acquire(num_sequences)
        try:
            return await port(request)
        finally:
            limiter.release(num_sequences)

    return limited_call


def levelled(
    port: Port[R, A], limiter: Limiter, level: Level, work: Callable[[A], int]
) -> Port[R, A]:
    """Do the same within the bound that `level` sets, by the tokens (`work`) of each answer."""

    async def levelled_call(request: R) -> A:
        clock = asyncio.get_running_loop().time
        async with limiter.slots(request.num_sequences):
            began_s, before_s = clock(), limiter.full_s
            try:
                answer = await port(request)
            except TransientServerError as error:
                # requests above the bound were sent before it fell: the fall accounts for them
                if error.status in _OVERLOADED and limiter.in_flight <= limiter.capacity:
                    level.refused(request.num_sequences)
                    limiter.capacity = level.capacity
                raise
            full_s = limiter.full_s
            share = (full_s - before_s) / max(clock() - began_s, 1e-9)
            level.answered(request.num_sequences, work(answer), share, full_s)
            limiter.resize(level.capacity)
            return answer

    return levelled_call
