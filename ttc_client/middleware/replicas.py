"""Spread the requests over several servers of one model, and set aside those that fail.

A session stays with the replica that holds its prefix. A new session, and one whose replica fails
or has more than twice the load of the idlest, goes to the idlest: the one with the fewest tokens
in flight against what it can take. Ties are broken by rendezvous hashing.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from ttc_client.errors import (
    ConfigError,
    GarbledError,
    ProtocolError,
    RequestError,
    ServerError,
    TransientServerError,
)
from ttc_client.middleware import A, Port, R, Request
from ttc_client.middleware.context import Call, current_call

_FAILURES = 5
"""After this many failures in a row, a replica counts as gone, and gets only probes."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_OVERLOAD = 2
"""A session leaves a replica with more than this many times the load of the idlest."""
_SESSIONS_KEPT = 1 << 14
"""More than are open at once. A session that is forgotten may move to another replica."""

_LOG = logging.getLogger(__name__)


class _GoneError(Exception):
    """The replica went away while a request waited for its slots; nothing was sent."""


@dataclass(slots=True, eq=False)
class Replica:
    """One server, its load and its recent failures.

    `capacity` returns what it can take relative to the others, such as sequences in flight.
    After a failure it is set aside until `aside_until`, by the loop's clock, and then probed with
    one request at a time, after pauses that double, until it answers. `ask_model` asks the server
    for its model; after a failure to connect it must name the same as before.
    """

    url: str
    capacity: Callable[[], int] = lambda: 1
    model: str = ""
    ask_model: Callable[[], Awaitable[str]] | None = None
    tokens_in_flight: int = 0
    failures: int = 0
    pause_s: float = 0.0
    aside_until: float = 0.0
    probe: Request | None = None
    in_doubt: bool = False
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def gone(self) -> bool:
        """Whether it has failed so often in a row that it gets only probes."""
        return self.failures >= _FAILURES

    def load(self, more_tokens: int = 0) -> float:
        """Return the tokens in flight, with those of one more request, per unit of capacity."""
        return (self.tokens_in_flight + more_tokens) / self.capacity()

    def fit(self, now: float) -> bool:
        """Whether it works, as far as is known, or is due for a probe."""
        return not self.failures or (now >= self.aside_until and self.probe is None)

    async def confirm(self) -> None:
        """Ask for its model again if that is in doubt; raise TransientServerError for another."""
        async with self._asking:
            if self.ask_model is None or not self.in_doubt:
                return
            try:
                model = await self.ask_model()
            except GarbledError:
                raise
            except (RequestError, ProtocolError, ConfigError) as error:
                raise TransientServerError(str(error), url=self.url) from error
            if model != self.model:
                raise TransientServerError(
                    f"{self.url} serves {model} now, but {self.model} when it was opened",
                    url=self.url,
                )
            self.in_doubt = False

    def affinity(self, session: str) -> bytes:
        """Return its rank for a session; the highest gets it (rendezvous hashing)."""
        return blake2b(f"{self.url}\n{session}".encode(), digest_size=8).digest()


@dataclass(slots=True)
class Replicas:
    """The servers of one model, and which of them holds each session's prefix."""

    members: Sequence[Replica]
    _homes: OrderedDict[int, Replica] = field(default_factory=OrderedDict[int, Replica])
    """By the session's hash: its name holds the problem, and so is long."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _last_failure: ServerError | None = None

    @property
    def only(self) -> Replica | None:
        """The one replica, if there are no others and it works."""
        one = self.members[0]
        return one if len(self.members) == 1 and not one.failures else None

    async def choose(self, request: Request) -> Replica:
        """Return the replica that holds the request's prefix, unless overloaded or set aside.

        Otherwise the idlest takes the session over. If all are gone, wait for a probe.
        """
        while not (fit := self._fit(current_call())):
            current_call().last_failure = self._last_failure
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

    def _fit(self, call: Call) -> list[Replica]:
        """Return who may get a request. Do not probe with requests near their deadline."""
        working = [replica for replica in self.members if not replica.failures]
        if len(working) == len(self.members) or (working and call.is_half_over):
            return working
        now = asyncio.get_running_loop().time()
        fit = [replica for replica in self.members if replica.fit(now)]
        return fit or [replica for replica in self.members if not replica.gone]

    async def send(self, request: R, replica: Replica, port: Port[R, A]) -> A:
        """Send a request, record load and failures; raise what the port raises."""
        probes = replica.failures > 0 and replica.fit(asyncio.get_running_loop().time())
        if probes:
            replica.probe = request
        num_tokens = request.num_tokens if len(self.members) > 1 else 0
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
        except Exception:  # a refusal is an answer: the replica works
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
            _LOG.info("%s is back after %d failures", replica.url, replica.failures)
            replica.failures, replica.pause_s = 0, 0.0
            self._wake()

    def _failed(self, replica: Replica, error: TransientServerError | GarbledError) -> None:
        """Set a replica aside, for as long as it asks at least."""
        loop = asyncio.get_running_loop()
        self._last_failure = error
        others = (other for other in self.members if other is not replica)
        current_call().has_other = any(other.fit(loop.time()) for other in others)
        replica.failures += 1
        replica.in_doubt |= error.status is None
        if replica.pause_s and loop.time() < replica.aside_until:
            return  # sent before it was set aside
        asked_s = error.retry_after_s if isinstance(error, TransientServerError) else None
        replica.pause_s = min(_LONGEST_PAUSE_S, 2 * replica.pause_s or _FIRST_PAUSE_S)
        aside_s = max(replica.pause_s, asked_s or 0.0)
        replica.aside_until = loop.time() + aside_s
        loop.call_at(replica.aside_until, self._due, replica, replica.aside_until)
        _LOG.info("%s is set aside for %.0f s (%s)", replica.url, aside_s, error.cause)

    def _due(self, replica: Replica, until: float) -> None:
        """Let a replica be probed. The loop may call this slightly before `until`."""
        if replica.aside_until == until:
            replica.aside_until = min(until, asyncio.get_running_loop().time())
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed.clear()


def balanced(replicas: Replicas, ports: Sequence[Port[R, A]]) -> Port[R, A]:
    """Send each request to one of the members, by its port; raise what that port raises."""
    port_of = dict(zip(replicas.members, ports, strict=True))

    async def balanced_call(request: R) -> A:
        while True:
            replica = replicas.only or await replicas.choose(request)
            try:
                return await replicas.send(request, replica, port_of[replica])
            except _GoneError:
                continue

    return balanced_call


def unless_gone(port: Port[R, A], replica: Replica) -> Port[R, A]:
    """Send a request, or have `balanced` choose another if this replica went away meanwhile.

    One that comes back, or that does not know the model any more, has to confirm its model first.
    Raises TransientServerError if it has another, and what the port raises.
    """

    async def unless_gone_call(request: R) -> A:
        if replica.gone and replica.probe is not request:
            raise _GoneError
        if replica.in_doubt:
            await replica.confirm()
        try:
            return await port(request)
        except RequestError as error:
            if error.status == 404:
                replica.in_doubt = True
                await replica.confirm()
            raise

    return unless_gone_call
