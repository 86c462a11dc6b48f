"""Several servers of one model: who gets which request, and what happens to one that fails."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b

from ttc_client.deadlines import Deadline, current_deadline
from ttc_client.errors import GarbledError, ServerError, TransientServerError
from ttc_client.middleware import A, Port, R, Request

_FAILURES = 5
"""In a row, none answered in between: the server is gone, the requests were not just unlucky."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_OVERLOAD = 2
"""How many times the load of the idlest replica a session's own may carry."""
_SESSIONS_KEPT = 1 << 14
"""More than are open at once; a session that is forgotten finds another home."""


class _GoneError(Exception):
    """The replica that a request waited for is gone: nothing was sent, another may take it."""


def _alike() -> int:
    return 1


@dataclass(slots=True, eq=False)
class Replica:
    """One server, its load, and how it has been doing lately (`aside_until` by the loop's clock).

    `capacity` says what it can take, compared with the others: sequences in flight, say.
    After a failure it is set aside for a while, and then probed with one request at a time, after
    ever longer pauses, until it answers.
    """

    url: str
    capacity: Callable[[], int] = _alike
    tokens_in_flight: int = 0
    failures: int = 0
    pause_s: float = 0.0
    aside_until: float = 0.0
    probe: Request | None = None

    @property
    def gone(self) -> bool:
        """Whether it failed so often in a row that only probes are worth sending."""
        return self.failures >= _FAILURES

    def load(self, more_tokens: int = 0) -> float:
        """Return the tokens in flight, and those of a request, against what it can take."""
        return (self.tokens_in_flight + more_tokens) / self.capacity()

    def fit(self, now: float) -> bool:
        """Whether it works, as far as is known, or is due to be probed."""
        return not self.failures or (now >= self.aside_until and self.probe is None)

    def affinity(self, session: str) -> bytes:
        """Rank replicas for a session, each session differently (rendezvous hashing)."""
        return blake2b(f"{self.url}\n{session}".encode(), digest_size=8).digest()


@dataclass(slots=True)
class Replicas:
    """The servers of one model, and the one that holds each session's prefix."""

    members: Sequence[Replica]
    _homes: OrderedDict[int, Replica] = field(default_factory=OrderedDict[int, Replica])
    """By the session's hash, since its name holds the problem."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _last_failure: ServerError | None = None

    async def choose(self, request: Request) -> Replica:
        """Return the replica that holds the request's prefix, unless overloaded or set aside.

        Otherwise the idlest takes the session over. Where all are gone, wait for a probe.
        """
        deadline = current_deadline()
        while not (fit := self._fit(deadline)):
            if deadline:
                deadline.reason = self._last_failure
            await self._changed.wait()
        if len(self.members) == 1:
            return fit[0]
        least = min(replica.load() for replica in fit)
        session = hash(request.session)
        home = self._homes.get(session)
        idlest = [replica for replica in fit if replica.load() == least]
        overload = _OVERLOAD * min(replica.load(request.num_tokens) for replica in idlest)
        if home not in fit or home.load() > overload:
            home = max(idlest, key=lambda replica: replica.affinity(request.session))
        self._homes[session] = home
        self._homes.move_to_end(session)
        if len(self._homes) > _SESSIONS_KEPT:
            self._homes.popitem(last=False)
        return home

    def _fit(self, deadline: Deadline | None) -> list[Replica]:
        """Return who may get a request: what has little time left is no probe if it need not be."""
        working = [replica for replica in self.members if not replica.failures]
        if len(working) == len(self.members) or (working and deadline and deadline.is_half_over):
            return working
        now = asyncio.get_running_loop().time()
        fit = [replica for replica in self.members if replica.fit(now)]
        return fit or [replica for replica in self.members if not replica.gone]

    async def send(self, request: R, replica: Replica, port: Port[R, A]) -> A:
        """Send a request to a replica, and count its load and how it ended."""
        probes = replica.failures > 0 and replica.fit(asyncio.get_running_loop().time())
        if probes:
            replica.probe = request
        num_tokens = request.num_tokens
        replica.tokens_in_flight += num_tokens
        try:
            answer = await port(request)
        except (TransientServerError, GarbledError) as error:
            self._failed(replica, error)
            self._homes.pop(hash(request.session), None)
            raise
        except _GoneError:
            self._homes.pop(hash(request.session), None)
            raise
        except Exception:  # refused, and so answered
            self._answered(replica)
            raise
        else:
            self._answered(replica)
            return answer
        finally:
            replica.tokens_in_flight -= num_tokens
            if probes:
                replica.probe = None
                self._wake()

    def _answered(self, replica: Replica) -> None:
        if replica.failures:
            replica.failures, replica.pause_s = 0, 0.0
            self._wake()

    def _failed(self, replica: Replica, error: TransientServerError | GarbledError) -> None:
        """Set a replica aside; a pause that it asks for is its own, where another can take over."""
        loop = asyncio.get_running_loop()
        self._last_failure = error
        asked_s = 0.0
        if isinstance(error, TransientServerError):
            asked_s = error.retry_after_s or 0.0
            if any(other.fit(loop.time()) for other in self.members if other is not replica):
                error.retry_after_s = None
        replica.failures += 1
        if replica.pause_s and loop.time() < replica.aside_until:
            return  # sent before it was set aside
        replica.pause_s = min(_LONGEST_PAUSE_S, 2 * replica.pause_s or _FIRST_PAUSE_S)
        replica.aside_until = loop.time() + max(replica.pause_s, asked_s)
        loop.call_at(replica.aside_until, self._due, replica, replica.aside_until)

    def _due(self, replica: Replica, until: float) -> None:
        """Let a replica be probed, even where the loop's timers are a little early."""
        if replica.aside_until == until:
            replica.aside_until = min(until, asyncio.get_running_loop().time())
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed.clear()


def balanced(replicas: Replicas, ports: Sequence[Port[R, A]]) -> Port[R, A]:
    """Send each request to one of the replicas, whose ports come in their order."""
    port_of = dict(zip(replicas.members, ports, strict=True))

    async def call(request: R) -> A:
        while True:
            replica = await replicas.choose(request)
            with suppress(_GoneError):
                return await replicas.send(request, replica, port_of[replica])

    return call


def unless_gone(port: Port[R, A], replica: Replica) -> Port[R, A]:
    """Send what has waited for a slot elsewhere, if the replica is gone by now."""

    async def call(request: R) -> A:
        if replica.gone and replica.probe is not request:
            raise _GoneError
        return await port(request)

    return call
