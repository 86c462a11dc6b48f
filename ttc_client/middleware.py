"""Wrappers around a port: limits, retries and replicas, each in one place.

They serve the policy and the PRM alike, and stack in one order, set up in `compose`:
metered(retrying(balanced(limited(client)))). So a back-off sleep never holds a slot, and what a
search spent is counted once, whoever sent it.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol, TypeVar

from ttc_client.errors import TransientServerError


class Request(Protocol):
    """What the wrappers need to know of a request to the policy or to the PRM."""

    @property
    def num_sequences(self) -> int: ...

    @property
    def session(self) -> str: ...


R = TypeVar("R", bound=Request)
Q = TypeVar("Q")
A = TypeVar("A")
Port = Callable[[R], Awaitable[A]]


@dataclass(slots=True)
class Limiter:
    """Bound the sequences in flight at one server, first come, first served.

    A request that is larger than the bound goes alone.
    """

    capacity: int
    in_flight: int = 0
    _waiting: deque[tuple[int, asyncio.Future[None]]] = field(
        default_factory=deque[tuple[int, asyncio.Future[None]]]
    )

    @asynccontextmanager
    async def slots(self, num_sequences: int) -> AsyncGenerator[None]:
        """Hold that many slots, waiting for them without a time-out."""
        weight = min(num_sequences, self.capacity)
        await self._acquire(weight)
        try:
            yield
        finally:
            self._release(weight)

    async def _acquire(self, weight: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._admit()  # it may have stood in the way of smaller ones
            else:
                self._release(weight)
            raise

    def _release(self, weight: int) -> None:
        self.in_flight -= weight
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            weight, turn = self._waiting[0]
            if not turn.cancelled():
                if self.in_flight + weight > self.capacity:
                    return
                self.in_flight += weight
                turn.set_result(None)
            self._waiting.popleft()


def limited(port: Port[R, A], limiter: Limiter) -> Port[R, A]:
    """Let a request through once the limiter has room for its sequences."""

    async def call(request: R) -> A:
        async with limiter.slots(request.num_sequences):
            return await port(request)

    return call


MAX_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.5


def retrying(
    port: Callable[[Q], Awaitable[A]],
    timeout_s: float,
    on_retry: Callable[[TransientServerError], None],
) -> Callable[[Q], Awaitable[A]]:
    """Repeat a request whose failure may pass, for at most `timeout_s` after the first failure.

    The pause doubles each time, with jitter, unless the server names one (Retry-After).
    """

    async def call(request: Q) -> A:
        deadline: float | None = None
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await port(request)
            except TransientServerError as error:
                pause_s = _FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                if error.retry_after_s is not None:
                    pause_s = error.retry_after_s
                deadline = deadline or time.monotonic() + timeout_s
                if attempt == MAX_ATTEMPTS or time.monotonic() + pause_s > deadline:
                    raise
                on_retry(error)
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    return call


@dataclass(slots=True)
class Replica:
    """One of several servers of the same model; `aside_until` is when to try it again."""

    url: str
    in_flight: int = 0
    aside_until: float = 0.0

    def affinity(self, session: str) -> bytes:
        """Rank replicas for a session, each session differently (rendezvous hashing)."""
        return blake2b(f"{self.url}\n{session}".encode(), digest_size=8).digest()


_ASIDE_S = 5.0
_OVERLOAD = 2.0
"""How many times the load of the idlest replica a session's own may carry."""


def balanced(replicas: Sequence[tuple[Replica, Port[R, A]]]) -> Port[R, A]:
    """Spread sessions over replicas: each stays with the one that holds its prefix.

    Unless that one is overloaded, or has just failed: then the idlest takes the request.
    """

    def choose(request: R) -> tuple[Replica, Port[R, A]]:
        now = time.monotonic()
        usable = [r for r in replicas if r[0].aside_until <= now] or list(replicas)
        home = max(usable, key=lambda r: r[0].affinity(request.session))
        idlest = min(usable, key=lambda r: r[0].in_flight)
        fair = _OVERLOAD * (idlest[0].in_flight + request.num_sequences)
        return home if home[0].in_flight <= fair else idlest

    async def call(request: R) -> A:
        replica, port = choose(request)
        replica.in_flight += request.num_sequences
        try:
            return await port(request)
        except TransientServerError:
            replica.aside_until = time.monotonic() + _ASIDE_S
            raise
        finally:
            replica.in_flight -= request.num_sequences

    return replicas[0][1] if len(replicas) == 1 else call
