"""Several servers of one model: who gets which request, and what happens to one that fails."""

import asyncio
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ttc_client.errors import GarbledError, TransientServerError
from ttc_client.middleware import A, Port, R, Request

_FAILURES = 5
"""In a row, none answered in between: a replica is set aside, not merely unlucky."""
_FIRST_ASIDE_S = 1.0
_LONGEST_ASIDE_S = 30.0
_OVERLOAD = 2
"""How many times the load of the idlest replica a session's own may carry."""
_SESSIONS_KEPT = 1 << 16


@dataclass(slots=True, eq=False)
class Replica:
    """One server, its load, and how it has been doing lately (times are the loop's, in s)."""

    name: str
    tokens_in_flight: int = 0
    failures: int = 0
    pause_s: float = 0.0
    aside_until: float = 0.0
    probed: bool = False

    @property
    def aside(self) -> bool:
        """Whether it failed so often in a row that it must be probed first."""
        return self.failures >= _FAILURES

    def usable(self, now: float) -> bool:
        """Whether to send it a request: set aside, it gets one at a time, and not at once."""
        return not self.aside or (now >= self.aside_until and not self.probed)


@dataclass(slots=True)
class Replicas:
    """The servers of one model, and the one that holds each session's prefix."""

    members: Sequence[Replica]
    _homes: OrderedDict[str, Replica] = field(default_factory=OrderedDict[str, Replica])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def choose(self, request: Request) -> Replica:
        """Return the replica that holds the request's prefix, unless overloaded or set aside.

        Otherwise the idlest takes the session over. Where all are set aside, wait for the next
        probe.
        """
        loop = asyncio.get_running_loop()
        while not (usable := [r for r in self.members if r.usable(loop.time())]):
            await self._changed.wait()
        idlest = min(usable, key=lambda replica: replica.tokens_in_flight)
        home = self._homes.get(request.session)
        most = _OVERLOAD * (idlest.tokens_in_flight + request.num_tokens)
        if home not in usable or home.tokens_in_flight > most:
            home = idlest
        self._homes[request.session] = home
        self._homes.move_to_end(request.session)
        if len(self._homes) > _SESSIONS_KEPT:
            self._homes.popitem(last=False)
        return home

    @contextmanager
    def working(self, replica: Replica, request: Request) -> Generator[None]:
        """Count a request's load, and how it ended."""
        probe = replica.aside
        replica.probed |= probe
        replica.tokens_in_flight += request.num_tokens
        try:
            yield
        except (TransientServerError, GarbledError):
            self._failed(replica, probe)
            raise
        except Exception:  # refused, and so answered
            self._answered(replica)
            raise
        else:
            self._answered(replica)
        finally:
            replica.tokens_in_flight -= request.num_tokens
            if probe:
                replica.probed = False
                self._wake()

    def _answered(self, replica: Replica) -> None:
        if replica.aside:
            self._wake()
        replica.failures = 0

    def _failed(self, replica: Replica, probe: bool) -> None:
        replica.failures += 1
        if probe:
            replica.pause_s = min(_LONGEST_ASIDE_S, 2 * replica.pause_s)
        elif replica.failures == _FAILURES:
            replica.pause_s = _FIRST_ASIDE_S
        else:  # not set aside yet, or sent before it was
            return
        loop = asyncio.get_running_loop()
        replica.aside_until = loop.time() + replica.pause_s
        loop.call_at(replica.aside_until, self._wake)

    def _wake(self) -> None:
        self._changed.set()
        self._changed.clear()


def balanced(replicas: Replicas, ports: Sequence[Port[R, A]]) -> Port[R, A]:
    """Send each request to one of the replicas, whose ports come in their order."""
    port_of = dict(zip(replicas.members, ports, strict=True))

    async def call(request: R) -> A:
        replica = await replicas.choose(request)
        with replicas.working(replica, request):
            return await port_of[replica](request)

    return call
