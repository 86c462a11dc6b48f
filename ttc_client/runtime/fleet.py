"""The open replicas of one model, which may come and go while they are used."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from ttc_client.clients.http import Server
from ttc_client.errors import ConfigError, ServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.limits import Limiter, Peers
from ttc_client.middleware.replica import Replica
from ttc_client.middleware.replicas import Replicas, balanced
from ttc_client.runtime.opening import Bounded, Opened
from ttc_client.settings.fleets import is_fleet, located
from ttc_client.settings.servers import Place
from ttc_client.together import together

LOOK_S = 10.0
"""Seconds between two looks at who belongs to a fleet."""
JOIN_S = 30.0
"""Most seconds that a replica may take to be opened while a run goes on."""

C = TypeVar("C")

_LOG = logging.getLogger(__name__)


async def open_all(
    role: str, places: Sequence[Place], open_one: Callable[[Place], Awaitable[Opened[C]]]
) -> list[Opened[C]]:
    """Open all replicas; of those that a fleet lists, those that answer.

    Raises ConfigError, and ServerError if one that is named by itself fails, or all do.
    """

    async def tried(place: Place) -> Opened[C] | ServerError:
        try:
            return await open_one(place)
        except ServerError as error:
            if place in places:
                raise
            return error

    found = await together(map(tried, await located(role, places)))
    opened = [one for one in found if isinstance(one, Opened)]
    for error in found:
        if isinstance(error, ServerError):
            if not opened:
                raise error
            _LOG.warning("a %s is done without until it answers: %s", role, error)
    return opened


class OpenReplicas(Generic[C]):
    """Replicas, each with its client and a limiter of its own.

    `concurrency` and `share` are as in `Bounded`.
    """

    def __init__(
        self, opened: Sequence[Opened[C]], concurrency: int | Literal["auto"], share: int
    ) -> None:
        self._concurrency: int | Literal["auto"] = concurrency
        self._share, self._peers = share, Peers()
        self._members: dict[Replica, tuple[Opened[C], Bounded]] = {}
        self._ports: list[dict[Replica, Any]] = []
        self._said: dict[str, str] = {}
        self.replicas = Replicas(map(self._add, opened))

    def _add(self, one: Opened[C]) -> Replica:
        bounded = Bounded(one, self._concurrency, self._share, self._peers)
        self._members[bounded.replica] = one, bounded
        return bounded.replica

    @property
    def clients(self) -> list[C]:
        """The clients of all members."""
        return [one.client for one, _ in self._members.values()]

    @property
    def servers(self) -> list[Server]:
        """Where they are, but for what is at no server."""
        return [one.server for one, _ in self._members.values() if one.server]

    @property
    def limiters(self) -> list[Limiter]:
        """What bounds the sequences in flight at each."""
        return [bounded.limiter for _, bounded in self._members.values()]

    def client(self, replica: Replica) -> C:
        """Return a member's client."""
        return self._members[replica][0].client

    def port(self, of: Callable[[C], Port[R, A]], work: Callable[[A], int]) -> Port[R, A]:
        """Return what sends each request to one of the members, by the port `of` its client.

        `work` counts the tokens of an answer.
        """
        ports: dict[Replica, Port[R, A]] = {}
        self._ports.append(ports)

        def port_of(replica: Replica) -> Port[R, A]:
            if replica not in ports:
                one, bounded = self._members[replica]
                ports[replica] = bounded.port(of(one.client), work)
            return ports[replica]

        return balanced(self.replicas, port_of)

    async def follow(
        self,
        role: str,
        places: Sequence[Place],
        open_one: Callable[[Place], Awaitable[Opened[C]]],
    ) -> None:
        """Look again and again who belongs to the fleets among the places, until cancelled.

        Who is new joins if it answers and has the same model. Who is missing leaves, unless there
        would be none.
        """
        while any(map(is_fleet, places)):
            await asyncio.sleep(LOOK_S)
            try:
                found = await located(role, places)
            except ConfigError as error:
                self._say(role, f"{error}; its replicas stay as they are")
                continue
            self._said.pop(role, None)
            known = {
                replica.url: replica for replica, (one, _) in self._members.items() if one.server
            }
            new = [place for place in found if isinstance(place, str) and place not in known]
            await together(map(partial(self._join, role, open_one), new))
            for url, replica in known.items():
                if url not in found:
                    self._leave(role, replica)

    async def _join(
        self, role: str, open_one: Callable[[Place], Awaitable[Opened[C]]], where: str
    ) -> None:
        """Open one more, and say why not if that fails; it is tried again at the next look."""
        model = next(iter(self._members)).model
        try:
            async with asyncio.timeout(JOIN_S):
                opened = await open_one(where)
        except (ServerError, ConfigError, TimeoutError) as error:
            said = str(error) or f"no answer within {JOIN_S:g} s"
            self._say(where, f"{where} is no {role} yet: {said}")
            return
        if opened.model != model:
            why = f"it serves {opened.model}, and the others {model}"
            self._say(where, f"{where} is no {role}: {why}")
            return
        self._said.pop(where, None)
        self.replicas.join(self._add(opened))
        _LOG.info("%s joins as a %s", where, role)

    def _leave(self, role: str, replica: Replica) -> None:
        if len(self._members) > 1:
            self.replicas.leave(replica)
            del self._members[replica]
            for ports in self._ports:
                ports.pop(replica, None)
            _LOG.info("%s leaves as a %s", replica.url, role)

    def _say(self, about: str, what: str) -> None:
        """Warn, but not of the same again and again."""
        if self._said.get(about) != what:
            self._said[about] = what
            _LOG.warning("%s", what)
