"""Bound the sequences in flight at a server, and admit the oldest search first.

What waits at one replica moves to another that has room: see `Peers`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count

from ttc_client.deadlines import clock_stopped
from ttc_client.errors import TransientServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.context import current_call
from ttc_client.middleware.levels import Level

_OVERLOADED = (429, 503)

_Waiting = tuple[int, int, int, bool, "asyncio.Future[Limiter]"]
"""The search's turn, a running number, the sequences, whether they may move, and what admits them.

The result is the limiter whose slots they hold.
"""


class MovedError(Exception):
    """A request holds slots at another replica, whose `limiter` this is; nothing was sent."""

    def __init__(self, limiter: "Limiter") -> None:
        super().__init__()
        self.limiter = limiter


@dataclass(slots=True)
class Peers:
    """What the limiters of one model's replicas know of each other, so that none idles.

    A request that finds its own replica full goes to one with room, and a replica that has room
    and no queue takes the oldest request from the others' queues. While each has a queue of its
    own, nothing moves, and prefixes stay where they are.
    """

    roomy: dict["Limiter", None] = field(default_factory=dict["Limiter", None])
    """Those with room and no queue."""
    queues: dict["Limiter", None] = field(default_factory=dict["Limiter", None])
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def room_for(self, num_sequences: int) -> "Limiter | None":
        """Return the emptiest limiter that has room for so many, None where none has."""
        fitting = [one for one in self.roomy if one.fits(num_sequences)]
        return min(fitting, key=lambda one: one.in_flight / one.capacity, default=None)

    def queue_for(self, limiter: "Limiter") -> "Limiter | None":
        """Return the limiter whose oldest request may move here, where the search is oldest."""
        found, oldest = None, (0, 0)
        for one in [*self.queues]:
            head = one.head()
            if head and head[3] and limiter.fits(head[2]) and not (found and oldest < head[:2]):
                found, oldest = one, head[:2]
        return found


@dataclass(slots=True, eq=False)
class Limiter:
    """Bound the sequences in flight at one server, for all searches of the process.

    The oldest search is admitted first, and its requests in order, so that early problems finish
    and free their prefixes instead of all advancing together. A request larger than the bound is
    admitted when nothing else is in flight. One that is `closed` takes nothing from its peers.
    """

    capacity: int
    in_flight: int = 0
    peers: Peers = field(default_factory=Peers)
    closed: bool = False
    _waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    _num_cancelled: int = 0
    _full_s: float = 0.0
    _full_since: float | None = None

    def __post_init__(self) -> None:
        self.peers.roomy[self] = None

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
        self.admit()

    def take(self, num_sequences: int) -> bool:
        """Take that many slots if they are free and nobody waits; return whether they were."""
        if self._waiting or not self.fits(num_sequences):
            return False
        self.in_flight += num_sequences
        if self.in_flight >= self.capacity:
            self.peers.roomy.pop(self, None)
        return True

    async def acquire(self, num_sequences: int, *, movable: bool = False) -> None:
        """Take that many slots; see `slots`.

        Raises MovedError if it is `movable` and has taken them at a peer.
        """
        if self.take(num_sequences):
            return
        if movable and (peer := self.peers.room_for(num_sequences)):
            peer.take(num_sequences)
            raise MovedError(peer)
        with clock_stopped():
            await self._wait(num_sequences, movable=movable)

    def release(self, num_sequences: int) -> None:
        """Give back that many slots."""
        self.in_flight -= num_sequences
        self.admit()

    async def _wait(self, num_sequences: int, *, movable: bool) -> None:
        loop = asyncio.get_running_loop()
        admitted: asyncio.Future[Limiter] = loop.create_future()
        number = next(self.peers.numbers)
        heappush(self._waiting, (current_call().turn, number, num_sequences, movable, admitted))
        self.peers.queues[self] = None
        if self._full_since is None:
            self._full_since = loop.time()
        self.admit()
        try:
            holder = await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._forget_cancelled()
                self.admit()  # smaller requests behind it may fit now
            else:
                admitted.result().release(num_sequences)
            raise
        if holder is not self:
            raise MovedError(holder)

    def _forget_cancelled(self) -> None:
        """Count a cancelled request, and rebuild the queue once they are half of it."""
        self._num_cancelled += 1
        if 2 * self._num_cancelled > len(self._waiting):
            self._waiting = [waiting for waiting in self._waiting if not waiting[-1].cancelled()]
            heapify(self._waiting)
            self._num_cancelled = 0

    def fits(self, num_sequences: int) -> bool:
        """Whether so many more may be in flight now."""
        return not self.in_flight or self.in_flight + num_sequences <= self.capacity

    def head(self) -> _Waiting | None:
        """Return who is admitted next, None where nobody waits."""
        while self._waiting and self._waiting[0][-1].cancelled():
            self._num_cancelled = max(0, self._num_cancelled - 1)
            heappop(self._waiting)
        if self._waiting:
            return self._waiting[0]
        self.peers.queues.pop(self, None)
        self._full_s, self._full_since = self.full_s, None
        return None

    def hand_over(self, holder: "Limiter") -> None:
        """Admit who is next, with slots of `holder`."""
        *_, num_sequences, _, admitted = heappop(self._waiting)
        holder.in_flight += num_sequences
        admitted.set_result(holder)
        self.head()

    def admit(self) -> None:
        """Admit as many as fit, first from this queue and then from the peers'."""
        while head := self.head():
            if not self.fits(head[2]):
                self.peers.roomy.pop(self, None)
                return
            self.hand_over(self)
        if self.closed or self.in_flight >= self.capacity:
            self.peers.roomy.pop(self, None)
            return
        while self.peers.queues and (peer := self.peers.queue_for(self)):
            peer.hand_over(self)
        self.peers.roomy[self] = None


@dataclass(slots=True)
class _Slots:
    limiter: Limiter
    num_sequences: int

    def __aenter__(self) -> Awaitable[None]:
        return self.limiter.acquire(self.num_sequences)

    async def __aexit__(self, *_: object) -> None:
        self.limiter.release(self.num_sequences)


def limited(port: Port[R, A], limiter: Limiter) -> Port[R, A]:
    """Send a request once the limiter has room for its sequences.

    Raises MovedError if a peer has, and what the port raises.
    """

    async def limited_call(request: R) -> A:
        num_sequences = request.num_sequences
        if not limiter.take(num_sequences):
            await limiter.acquire(num_sequences, movable=True)
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
        await limiter.acquire(request.num_sequences, movable=True)
        try:
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
        finally:
            limiter.release(request.num_sequences)

    return levelled_call
