"""The open replicas of one model: what each request may be sent to."""

from collections.abc import Callable, Iterable
from typing import Generic, Literal, TypeVar

from ttc_client.clients.http import Server
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.limits import Limiter, Peers
from ttc_client.middleware.replica import Replica
from ttc_client.middleware.replicas import Replicas, balanced
from ttc_client.runtime.opening import Bounded, Opened

C = TypeVar("C")


class OpenReplicas(Generic[C]):
    """Replicas, each with its client and a limiter of its own.

    `concurrency` and `share` are as in `Bounded`.
    """

    def __init__(
        self, opened: Iterable[Opened[C]], concurrency: int | Literal["auto"], share: int
    ) -> None:
        self._concurrency: int | Literal["auto"] = concurrency
        self._share, self._peers = share, Peers()
        self._members: dict[Replica, tuple[Opened[C], Bounded]] = {}
        self.replicas = Replicas(self._add(one) for one in opened)

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

        def port_of(replica: Replica) -> Port[R, A]:
            if replica not in ports:
                one, bounded = self._members[replica]
                ports[replica] = bounded.port(of(one.client), work)
            return ports[replica]

        return balanced(self.replicas, port_of)
