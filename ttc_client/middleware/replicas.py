"""Spread the requests over several servers of one model, and set aside those that fail.

A session stays with the replica that holds its prefix. A new session, and one whose replica fails
or has more than twice the load of the idlest, goes to the idlest: the one with the fewest tokens
in flight against what it can take. One whose replica has no slot free goes where one is
(`limits.Peers`). Replicas may join and leave meanwhile.
"""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable

from ttc_client.errors import GarbledError, ServerError, TransientServerError
from ttc_client.middleware import A, Port, R, Request
from ttc_client.middleware.context import Call, current_call
from ttc_client.middleware.idlest import Idlest
from ttc_client.middleware.limits import Limiter, MovedError
from ttc_client.middleware.replica import GoneError, Replica

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_OVERLOAD = 2
"""A session leaves a replica with more than this many times the load of the idlest."""
_SESSIONS_KEPT = 1 << 14
"""More than are open at once. A session that is forgotten may move to another replica."""

_ENDLESS = 1 << 30

_LOG = logging.getLogger(__name__)


class Replicas:
    """The servers of one model, and which of them holds each session's prefix."""

    def __init__(self, members: Iterable[Replica] = ()) -> None:
        self._working: Idlest[Replica] = Idlest()
        self._aside: list[Replica] = []
        """Those that failed, in the order of their failures."""
        self._homes: OrderedDict[int, Replica] = OrderedDict()
        """By the session's hash: its name holds the problem, and so is long."""
        self._changed = asyncio.Event()
        self._last_failure: ServerError | None = None
        self.members = [*members]
        for member in random.sample(self.members, len(self.members)):
            self._working.add(member)  # in another order than other clients

    @property
    def only(self) -> Replica | None:
        """The one replica, if there are no others and it works."""
        return self.members[0] if len(self.members) == 1 and not self._aside else None

    @property
    def _any_works(self) -> bool:
        return len(self._aside) < len(self.members)

    def join(self, replica: Replica) -> None:
        """Spread requests over one more."""
        self.members.append(replica)
        self._working.add(replica)
        replica.close(closed=False)
        self._wake()

    def leave(self, replica: Replica) -> None:
        """Send it no more requests: those that wait for it go elsewhere, the others may finish."""
        self.members.remove(replica)
        self._working.drop(replica)
        if replica in self._aside:
            self._aside.remove(replica)
        replica.left = True
        replica.close(closed=True)
        if replica.limiter:
            replica.limiter.resize(_ENDLESS)  # what waits is admitted, and finds that it left

    async def choose(self, request: Request) -> Replica:
        """Return the replica that holds the request's prefix, unless overloaded or set aside.

        Otherwise the idlest takes the session over. If all are gone, wait for a probe.
        """
        while True:
            others = self._probed(current_call()) if self._aside else []
            idlest = self._working.least()
            if others:
                others = [*others, idlest] if idlest else others
                idlest = min(others, key=lambda one: one.load())
            if idlest:
                break
            current_call().last_failure = self._last_failure
            await self._changed.wait()
        home = self._homes.get(hash(request.session))
        works = home and not home.left and (not home.failures or home in others)
        if not (home and works) or home.load() > _OVERLOAD * idlest.load(request.num_tokens):
            home = idlest
        self._settle(request, home)
        return home

    def moved(self, request: Request, limiter: Limiter) -> Replica | None:
        """Return the replica of a limiter whose slots a request holds, and give them back.

        They are free until the next `await`. None if it has left meanwhile.
        """
        limiter.in_flight -= request.num_sequences
        replica = next((one for one in self.members if one.limiter is limiter), None)
        if replica:
            self._settle(request, replica)
        return replica

    def _settle(self, request: Request, home: Replica) -> None:
        """Remember where a session's prefix is now."""
        if len(self.members) == 1:
            return
        session = hash(request.session)
        self._homes[session] = home
        self._homes.move_to_end(session)
        if len(self._homes) > _SESSIONS_KEPT:
            self._homes.popitem(last=False)

    def _probed(self, call: Call) -> list[Replica]:
        """Return who of those that failed may get a request beside those that work.

        Do not probe with requests near their deadline. Where none works or is due, those that are
        not gone may.
        """
        if self._any_works and call.is_half_over:
            return []
        now = asyncio.get_running_loop().time()
        due = [replica for replica in self._aside if replica.fit(now)]
        return due or [one for one in self._aside if not (self._any_works or one.gone)]

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
        except MovedError:
            raise
        except GoneError:
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
            self._working.lowered(replica)
            if probes:
                replica.probe = None
                self._wake()

    def _answered(self, replica: Replica) -> None:
        if replica.failures:
            _LOG.info("%s is back after %d failures", replica.url, replica.failures)
            replica.failures, replica.pause_s = 0, 0.0
            if not replica.left:
                self._aside.remove(replica)
                self._working.add(replica)
                replica.close(closed=False)
            self._wake()

    def _failed(self, replica: Replica, error: TransientServerError | GarbledError) -> None:
        """Set a replica aside, for as long as it asks at least."""
        loop = asyncio.get_running_loop()
        self._last_failure = error
        replica.failures += 1
        if replica.failures == 1 and not replica.left:
            self._working.drop(replica)
            self._aside.append(replica)
            replica.close(closed=True)
        current_call().has_other = self._any_works or any(
            other.fit(loop.time()) for other in self._aside if other is not replica
        )
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


def balanced(replicas: Replicas, port_of: Callable[[Replica], Port[R, A]]) -> Port[R, A]:
    """Send each request to one of the members, by its port; raise what that port raises."""

    async def balanced_call(request: R) -> A:
        replica = replicas.only or await replicas.choose(request)
        while True:
            try:
                return await replicas.send(request, replica, port_of(replica))
            except MovedError as moved:
                found = replicas.moved(request, moved.limiter)
                replica = found or await replicas.choose(request)
            except GoneError:
                replica = await replicas.choose(request)

    return balanced_call
