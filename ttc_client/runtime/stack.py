"""Open the servers of a search, and stack clients and wrappers: the only place that does."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

from ttc_client.clients.connect import PolicyClient, PRMClient, connect_policy, connect_prm
from ttc_client.clients.http import Server
from ttc_client.doctor.preflight import preflight
from ttc_client.errors import GarbledError, TimedOutError, TransientServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.levels import Level
from ttc_client.middleware.limits import Limiter, levelled, limited
from ttc_client.middleware.meter import Meter
from ttc_client.middleware.replicas import Replica, Replicas, balanced, unless_gone
from ttc_client.middleware.retries import RetryBudget, retrying
from ttc_client.middleware.singly import singly
from ttc_client.search.ports import PRM, Policy, Samples, Scores
from ttc_client.settings.config import SearchConfig
from ttc_client.settings.endpoints import policy_server, prm_server, server_urls, session_for
from ttc_client.together import both, together
from ttc_client.types import Trajectory

_OPENING_PAUSES_S = (0.3, 0.9)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _RootRequest:
    """Ask a policy for the empty trajectory of a problem: hardly any work for the server."""

    problem: str
    num_sequences: int = 0
    num_tokens: int = 0

    @property
    def session(self) -> str:
        return self.problem


@dataclass(frozen=True, slots=True)
class Servers:
    """The open servers of a run; each search gets ports of its own that count what it spends."""

    config: SearchConfig
    policy_model: str
    prm_model: str | None
    policy_name: str
    prm_name: str | None
    _root: Callable[[_RootRequest], Awaitable[Trajectory]]
    _policy: Policy
    _asks_singly: Callable[[], bool]
    _prm: PRM | None
    _limiters: Sequence[Limiter]
    _budget: RetryBudget = field(default_factory=RetryBudget)

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight at the policy's servers, as things stand."""
        return sum(limiter.capacity for limiter in self._limiters)

    async def root(self, problem: str, meter: Meter) -> Trajectory:
        """Return the empty trajectory of a problem, as the policy's server reads it."""
        return await self._retrying(self._root, meter)(_RootRequest(problem))

    def policy(self, meter: Meter) -> Policy:
        """Return the policy for one search."""
        return meter.policy(singly(self._retrying(self._policy, meter), self._asks_singly))

    def prm(self, meter: Meter) -> PRM | None:
        """Return the PRM for one search, or None where it needs none."""
        if self._prm is None:
            return None
        return meter.prm(self._retrying(self._prm, meter))

    def _retrying(self, port: Port[R, A], meter: Meter) -> Port[R, A]:
        return retrying(port, self.config.timeout_s, self._budget, meter.retried)


@asynccontextmanager
async def open_servers(config: SearchConfig) -> AsyncGenerator[Servers]:
    """Connect to the servers of a configuration, or start the embedded ones if it names none.

    Raises ServerError for servers that would ruin a search, unless `config.check` is off.
    """
    async with AsyncExitStack() as stack:
        policy_urls, prm_urls = await stack.enter_async_context(server_urls(config))
        session = await stack.enter_async_context(session_for(config))
        policy_servers = [policy_server(config, session, url) for url in policy_urls]
        prm_servers = [prm_server(config, session, url) for url in prm_urls]
        policies, prms = await both(
            together(_opened(partial(_policy, config, server, stack)) for server in policy_servers),
            together(
                _opened(partial(connect_prm, server, config.prm_api, config.prm_format))
                for server in prm_servers
            ),
        )
        if config.check and config.policy:
            await preflight(
                config,
                list(zip(policy_servers, policies, strict=True)),
                list(zip(prm_servers, prms, strict=True)),
            )
        yield _stacked(config, policy_urls, policies, prm_urls, prms)


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


async def _policy(config: SearchConfig, server: Server, stack: AsyncExitStack) -> PolicyClient:
    opened = connect_policy(server, config.policy_api, config.model, config.system_prompt)
    return await stack.enter_async_context(opened)


def _stacked(
    config: SearchConfig,
    policy_urls: Sequence[str],
    policies: Sequence[PolicyClient],
    prm_urls: Sequence[str],
    prms: Sequence[PRMClient],
) -> Servers:
    """Give each replica a limiter of its own, and spread the requests over them."""

    samplers = [_Bounded(url, config.concurrency) for url in policy_urls]
    scorers = [_Bounded(url, config.concurrency) for url in prm_urls]
    policy_replicas = Replicas([bounded.replica for bounded in samplers])
    prm_replicas = Replicas([bounded.replica for bounded in scorers])
    sample = [b.port(p.sample, _tokens) for b, p in zip(samplers, policies, strict=True)]
    score = [b.port(p.score, _steps) for b, p in zip(scorers, prms, strict=True)]
    return Servers(
        config,
        policy_model=policies[0].model,
        prm_model=prms[0].name if prms else None,
        policy_name=f"{policies[0].model} at {', '.join(policy_urls)}",
        prm_name=f"{prms[0].name} at {', '.join(prm_urls)}" if prms else None,
        _root=balanced(policy_replicas, [_root(policy) for policy in policies]),
        _policy=balanced(policy_replicas, sample),
        _asks_singly=lambda: any(policy.asks_singly for policy in policies),
        _prm=balanced(prm_replicas, score) if prms else None,
        _limiters=[bounded.limiter for bounded in samplers],
    )


def _root(policy: PolicyClient) -> Callable[[_RootRequest], Awaitable[Trajectory]]:
    async def call(request: _RootRequest) -> Trajectory:
        return await policy.root(request.problem)

    return call


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
    return sum(step.num_tokens for step in samples.steps)


def _steps(scores: Scores) -> int:
    return sum(map(len, scores.scores))
