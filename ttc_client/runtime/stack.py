"""Open the servers of a search, and stack clients and wrappers: the only place that does."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Generic, Literal, Protocol, TypeVar

from ttc_client.clients.connect import PolicyClient, PRMClient, connect_policy, connect_prm
from ttc_client.clients.functions import FunctionPolicy, FunctionVerifier
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.doctor.pair import other_models
from ttc_client.doctor.preflight import preflight
from ttc_client.errors import ConfigError, GarbledError, TimedOutError, TransientServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.levels import Level
from ttc_client.middleware.limits import Limiter, levelled, limited
from ttc_client.middleware.meter import Meter
from ttc_client.middleware.replicas import Replica, Replicas, balanced, unless_gone
from ttc_client.middleware.retries import RetryBudget, retrying
from ttc_client.middleware.singly import singly
from ttc_client.runtime.relay import Relay, any_is_up
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Policy, Samples, Scores, Verifier
from ttc_client.settings.endpoints import policy_server, prm_server, server_places, session_for
from ttc_client.settings.servers import Place, Servers
from ttc_client.together import both, together
from ttc_client.types import Message, Step, Trajectory

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
    _written: Callable[[str], Awaitable[Step]]
    _policy: Policy
    _asks_singly: Callable[[], bool]
    _verifier: Verifier | None
    _limiters: Sequence[Limiter]
    _roles: Sequence[Sequence[Server]]
    _relay: Relay | None
    _budget: RetryBudget = field(default_factory=RetryBudget)

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight at the policy's servers, as things stand."""
        return sum(limiter.capacity for limiter in self._limiters)

    async def ready(self) -> None:
        """Ask the servers whether they are up; raises ServerError if all of a model's are down."""
        await together(any_is_up(replicas) for replicas in self._roles if replicas)

    def relay(self, path: str, payload: dict[str, Any]) -> AsyncGenerator[bytes]:
        """POST to the policy's API within the limits; yield the answer's body as it comes."""
        if self._relay is None:
            raise ConfigError("the policy is a function, which has no API to pass a request on to")
        return self._relay(path, payload)

    def root(self, meter: Meter) -> Callable[[Sequence[Message]], Awaitable[Trajectory]]:
        """Return what gives a search the empty trajectory of a prompt."""
        return retrying(self._root, self._timeout_s, self._budget, meter.retried)

    def written(self, meter: Meter) -> Callable[[str], Awaitable[Step]]:
        """Return what makes a step of a text from elsewhere, for the policy to go on from."""
        return retrying(self._written, self._timeout_s, self._budget, meter.retried)

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
        _check_replicas("policy", [(one.name, one.client.model) for one in policies if one.server])
        _check_replicas("prm", [(one.name, one.client.facts.model) for one in prms if one.server])
        if servers.check and not servers.is_demo:
            await preflight(
                SearchParams(),
                [(one.server, one.client) for one in policies if one.server],
                [(one.server, one.client) for one in prms if one.server],
            )
        yield _stacked(servers, policies, prms)


@dataclass(frozen=True, slots=True)
class _Opened(Generic[C]):
    """A client, and the server that it speaks to; `ask_model` asks that for its model again.

    Both are None for a function in the place of a server.
    """

    name: str
    client: C
    model: str
    server: Server | None = None
    ask_model: Callable[[], Awaitable[str]] | None = None


async def _policy(servers: Servers, session: Session, place: Place) -> _Opened[PolicyClient]:
    if not isinstance(place, str):
        policy = FunctionPolicy.of(place)
        return _Opened("a function", policy, policy.model)
    server = policy_server(servers, session, place)
    connect = partial(connect_policy, server, servers.policy_api, servers.model)

    async def ask_model() -> str:
        return (await connect()).model

    client = await _patiently(connect)
    return _Opened(place, client, client.model, server, ask_model)


async def _prm(servers: Servers, session: Session, place: Place) -> _Opened[PRMClient]:
    if not isinstance(place, str):
        verifier = FunctionVerifier.of(place)
        return _Opened("a function", verifier, verifier.name)
    server = prm_server(servers, session, place)
    connect = partial(connect_prm, server, servers.prm_api, servers.prm_format)

    async def ask_model() -> str:
        return (await connect()).name

    client = await _patiently(connect)
    return _Opened(place, client, client.name, server, ask_model)


def _check_replicas(role: str, served: Sequence[tuple[str, str | None]]) -> None:
    """Raise ConfigError for a replica of another model."""
    for _, check in other_models(role, served):
        raise ConfigError(f"{check.seen}: {check.fix}")


async def _patiently(connect: Callable[[], Awaitable[T]]) -> T:
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
    policies: Sequence[_Opened[PolicyClient]],
    prms: Sequence[_Opened[PRMClient]],
) -> OpenServers:
    """Give each replica a limiter of its own, and spread the requests over them."""
    samplers = [_Bounded(one, servers.concurrency) for one in policies]
    scorers = [_Bounded(one, servers.concurrency) for one in prms]
    policy_replicas = Replicas([bounded.replica for bounded in samplers])
    prm_replicas = Replicas([bounded.replica for bounded in scorers])
    clients = [one.client for one in policies]
    any_policy = _any(clients, policy_replicas.members)
    sample = [b.port(client.sample, _tokens) for b, client in zip(samplers, clients, strict=True)]
    score = [b.port(one.client.score, _steps) for b, one in zip(scorers, prms, strict=True)]
    return OpenServers(
        policy_model=policies[0].model,
        verifier_model=prms[0].model if prms else None,
        policy_name=_named(servers, policies),
        verifier_name=_named(servers, prms) if prms else None,
        _timeout_s=servers.timeout_s,
        _root=lambda messages: any_policy(lambda policy: policy.root(messages)),
        _written=lambda text: any_policy(lambda policy: policy.written(text)),
        _policy=balanced(policy_replicas, sample),
        _asks_singly=lambda: any(client.asks_singly for client in clients),
        _verifier=balanced(prm_replicas, score) if prms else None,
        _limiters=[bounded.limiter for bounded in samplers],
        _roles=[[one.server for one in role if one.server] for role in (policies, prms)],
        _relay=Relay.over([(c.address, b.limiter) for b, c in zip(samplers, clients, strict=True)]),
    )


def _named(servers: Servers, replicas: Sequence[_Opened[Any]]) -> str:
    model = replicas[0].model
    return model if servers.is_demo else f"{model} at {', '.join(one.name for one in replicas)}"


class _AnyPolicy(Protocol):
    async def __call__(self, ask: Callable[[PolicyClient], Awaitable[T]]) -> T: ...


def _any(policies: Sequence[PolicyClient], replicas: Sequence[Replica]) -> _AnyPolicy:
    """Have any replica do what is hardly any work, such as to render a prompt."""
    turns = count()

    async def ask_any(ask: Callable[[PolicyClient], Awaitable[T]]) -> T:
        turn = next(turns)
        places = sorted(
            range(len(policies)), key=lambda i: (replicas[i].failures, (i - turn) % len(policies))
        )
        for place in places[:-1]:
            with suppress(TransientServerError):
                return await confirmed(place, ask)
        return await confirmed(places[-1], ask)

    async def confirmed(place: int, ask: Callable[[PolicyClient], Awaitable[T]]) -> T:
        await replicas[place].confirm()
        return await ask(policies[place])

    return ask_any


class _Bounded:
    """A replica with a limiter of its own, whose level is found unless a number is set.

    Load counts by what the limiter lets through.
    """

    def __init__(self, opened: _Opened[Any], concurrency: int | Literal["auto"]) -> None:
        self.level: Level | None = None
        if concurrency == "auto":
            self.level = Level(opened.name)
            concurrency = self.level.capacity
        self.limiter = Limiter(concurrency)
        self.replica = Replica(
            opened.name, lambda: self.limiter.capacity, opened.model, opened.ask_model
        )

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
