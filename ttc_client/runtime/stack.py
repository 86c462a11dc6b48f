"""Open the servers of a search, and stack clients and wrappers: the only place that does."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Literal, TypeVar

from ttc_client.clients.connect import PolicyClient, PRMClient, connect_policy, connect_prm
from ttc_client.clients.functions import FunctionPolicy, FunctionVerifier
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.doctor.preflight import preflight
from ttc_client.errors import GarbledError, TimedOutError, TransientServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.levels import Level
from ttc_client.middleware.limits import Limiter, levelled, limited
from ttc_client.middleware.meter import Meter
from ttc_client.middleware.replicas import Replica, Replicas, balanced, unless_gone
from ttc_client.middleware.retries import RetryBudget, retrying
from ttc_client.middleware.singly import singly
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Policy, Samples, Scores, Verifier
from ttc_client.settings.endpoints import policy_server, prm_server, server_places, session_for
from ttc_client.settings.servers import Place, Servers
from ttc_client.together import both, together
from ttc_client.types import Message, Trajectory

_OPENING_PAUSES_S = (0.3, 0.9)

T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class OpenServers:
    """The open servers of a run; each search gets ports of its own that count what it spends.

    `policy_model` and `verifier_model` name the models, `policy_name` and `verifier_name` also
    where they are; None where there is no verifier.
    """

    policy_model: str
    verifier_model: str | None
    policy_name: str
    verifier_name: str | None
    _timeout_s: float
    _root: Callable[[Sequence[Message]], Awaitable[Trajectory]]
    _policy: Policy
    _asks_singly: Callable[[], bool]
    _verifier: Verifier | None
    _limiters: Sequence[Limiter]
    _budget: RetryBudget = field(default_factory=RetryBudget)

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight at the policy's servers, as things stand."""
        return sum(limiter.capacity for limiter in self._limiters)

    def root(self, meter: Meter) -> Callable[[Sequence[Message]], Awaitable[Trajectory]]:
        """Return what gives a search the empty trajectory of a prompt."""
        return retrying(self._root, self._timeout_s, self._budget, meter.retried)

    def policy(self, meter: Meter) -> Policy:
        """Return the policy for one search."""
        return singly(meter.policy(self._retrying(self._policy, meter)), self._asks_singly)

    def verifier(self, meter: Meter) -> Verifier | None:
        """Return the verifier for one search, or None where there is none."""
        if self._verifier is None:
            return None
        return meter.verifier(self._retrying(self._verifier, meter))

    def _retrying(self, port: Port[R, A], meter: Meter) -> Port[R, A]:
        return retrying(port, self._timeout_s, self._budget, meter.retried)


@asynccontextmanager
async def open_servers(servers: Servers) -> AsyncGenerator[OpenServers]:
    """Connect to servers, or start the embedded ones if none are named.

    Raises ConfigError for settings and ServerError for servers that do not work, or, unless
    `check` is off, that would ruin a search.
    """
    async with AsyncExitStack() as stack:
        policy_places, prm_places = await stack.enter_async_context(server_places(servers))
        session = await stack.enter_async_context(session_for(servers))
        policies, prms = await both(
            together(_policy(servers, session, place) for place in policy_places),
            together(_prm(servers, session, place) for place in prm_places),
        )
        if servers.check and not servers.is_demo:
            await preflight(
                SearchParams(),
                [(server, client) for server, client in policies if server],
                [(server, client) for server, client in prms if server],
            )
        yield _stacked(
            servers,
            _names(policy_places),
            [client for _, client in policies],
            _names(prm_places),
            [client for _, client in prms],
        )


def _names(places: Sequence[Place]) -> list[str]:
    return [place if isinstance(place, str) else "a function" for place in places]


async def _policy(
    servers: Servers, session: Session, place: Place
) -> tuple[Server | None, PolicyClient]:
    if not isinstance(place, str):
        return None, FunctionPolicy.of(place)
    server = policy_server(servers, session, place)
    connect = partial(connect_policy, server, servers.policy_api, servers.model)
    return server, await _opened(connect)


async def _prm(servers: Servers, session: Session, place: Place) -> tuple[Server | None, PRMClient]:
    if not isinstance(place, str):
        return None, FunctionVerifier.of(place)
    server = prm_server(servers, session, place)
    connect = partial(connect_prm, server, servers.prm_api, servers.prm_format)
    return server, await _opened(connect)


async def _opened(connect: Callable[[], Awaitable[T]]) -> T:
    """Connect to a server that may stumble, but not for long: the user waits to hear of it."""
    for pause_s in _OPENING_PAUSES_S:
        try:
            return await connect()
        except (TransientServerError, GarbledError) as error:
            if isinstance(error, TimedOutError):
                raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
    return await connect()


def _stacked(
    servers: Servers,
    policy_names: Sequence[str],
    policies: Sequence[PolicyClient],
    prm_names: Sequence[str],
    prms: Sequence[PRMClient],
) -> OpenServers:
    """Give each replica a limiter of its own, and spread the requests over them."""
    samplers = [_Bounded(name, servers.concurrency) for name in policy_names]
    scorers = [_Bounded(name, servers.concurrency) for name in prm_names]
    policy_replicas = Replicas([bounded.replica for bounded in samplers])
    prm_replicas = Replicas([bounded.replica for bounded in scorers])
    sample = [b.port(p.sample, _tokens) for b, p in zip(samplers, policies, strict=True)]
    score = [b.port(p.score, _steps) for b, p in zip(scorers, prms, strict=True)]
    return OpenServers(
        policy_model=policies[0].model,
        verifier_model=prms[0].name if prms else None,
        policy_name=_named(servers, policies[0].model, policy_names),
        verifier_name=_named(servers, prms[0].name, prm_names) if prms else None,
        _timeout_s=servers.timeout_s,
        _root=_root(policies, policy_replicas.members),
        _policy=balanced(policy_replicas, sample),
        _asks_singly=lambda: any(policy.asks_singly for policy in policies),
        _verifier=balanced(prm_replicas, score) if prms else None,
        _limiters=[bounded.limiter for bounded in samplers],
    )


def _named(servers: Servers, model: str, names: Sequence[str]) -> str:
    return model if servers.is_demo else f"{model} at {', '.join(names)}"


def _root(
    policies: Sequence[PolicyClient], replicas: Sequence[Replica]
) -> Callable[[Sequence[Message]], Awaitable[Trajectory]]:
    """Have any replica render a prompt, which is hardly any work: another where one fails."""
    turns = count()

    async def root(messages: Sequence[Message]) -> Trajectory:
        turn = next(turns)
        places = sorted(
            range(len(policies)), key=lambda i: (replicas[i].failures, (i - turn) % len(policies))
        )
        for place in places[:-1]:
            with suppress(TransientServerError):
                return await policies[place].root(messages)
        return await policies[places[-1]].root(messages)

    return root


class _Bounded:
    """A replica with a limiter of its own, whose level is found unless a number is set.

    Load counts by what the limiter lets through.
    """

    def __init__(self, url: str, concurrency: int | Literal["auto"]) -> None:
        self.level: Level | None = None
        if concurrency == "auto":
            self.level = Level(url)
            concurrency = self.level.capacity
        self.limiter = Limiter(concurrency)
        self.replica = Replica(url, lambda: self.limiter.capacity)

    def port(self, client: Port[R, A], work: Callable[[A], int]) -> Port[R, A]:
        """Stack the wrappers that each replica has."""
        port = unless_gone(client, self.replica)
        if self.level is None:
            return limited(port, self.limiter)
        return levelled(port, self.limiter, self.level, work)


def _tokens(samples: Samples) -> int:
    return sum(step.num_tokens for step in samples.steps if step)


def _steps(scores: Scores) -> int:
    return sum(map(len, scores.scores))
