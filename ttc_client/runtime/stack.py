"""Open the servers of a search, and stack clients and wrappers: the only place that does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Protocol, TypeVar

from ttc_client.clients.connect import PolicyClient, connect_policy
from ttc_client.clients.functions import FunctionPolicy
from ttc_client.clients.models import lists
from ttc_client.clients.session import Session
from ttc_client.doctor.preflight import preflight
from ttc_client.errors import ConfigError, ServerError, TransientServerError
from ttc_client.middleware.combined import combined
from ttc_client.middleware.meter import Meter
from ttc_client.middleware.parts import in_parts
from ttc_client.middleware.replica import Replica
from ttc_client.middleware.retries import RetryBudget, retrying
from ttc_client.runtime.fleet import OpenReplicas, open_all
from ttc_client.runtime.opening import FUNCTION, Opened, check_replicas, name_of, patiently
from ttc_client.runtime.relay import Relay, any_is_up
from ttc_client.runtime.verifiers import OpenVerifiers, open_verifiers
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Judge, Policy, Samples, Verifier
from ttc_client.search.thinking import without_thoughts
from ttc_client.settings.endpoints import asking_of, policy_server, server_places, session_for
from ttc_client.settings.servers import Place, Servers
from ttc_client.together import both, stopped, together
from ttc_client.types import Message, Step, Trajectory

T = TypeVar("T")
Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class OpenServers:
    """The open servers of a run; each search gets ports of its own that count what it spends.

    `policy_model` names the model, `policy_name` also where it is.
    """

    policy_model: str
    policy_name: str
    verifiers: OpenVerifiers
    _timeout_s: float
    _any: "_AnyPolicy"
    _policy: Policy
    _policies: OpenReplicas[PolicyClient]
    _budget: RetryBudget = field(default_factory=RetryBudget)

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight at the policy's servers, as things stand."""
        return sum(limiter.capacity for limiter in self._policies.limiters)

    async def ready(self) -> None:
        """Ask the servers whether they are up; raises ServerError if all of a model's are down."""
        roles = (self._policies, *(one.replicas for one in self.verifiers.members))
        await together(any_is_up(role.servers) for role in roles if role.servers)

    def relay(self, path: str, payload: dict[str, Any]) -> AsyncGenerator[bytes]:
        """POST to the policy's API within the limits; yield the answer's body as it comes."""
        policies = self._policies
        addresses = [client.address for client in policies.clients]
        relay = Relay.over([*zip(addresses, policies.limiters, strict=True)])
        if relay is None:
            raise ConfigError("the policy is a function, which has no API to pass a request on to")
        return relay(path, payload)

    def root(self, meter: Meter) -> Callable[[Sequence[Message]], Awaitable[Trajectory]]:
        """Return what gives a search the empty trajectory of a prompt."""

        async def root(messages: Sequence[Message]) -> Trajectory:
            turns = without_thoughts(messages)
            return await self._any(lambda policy: policy.root(turns), meter.retried)

        return self._retrying(root, meter)

    def written(self, meter: Meter) -> Callable[[str], Awaitable[Step]]:
        """Return what makes a step of a text from elsewhere, for the policy to go on from."""

        async def written(text: str) -> Step:
            return await self._any(lambda policy: policy.written(text), meter.retried)

        return self._retrying(written, meter)

    def policy(self, meter: Meter) -> Policy:
        """Return the policy for one search."""
        return in_parts(meter.policy(self._retrying(self._policy, meter)), self._most_choices)

    def _most_choices(self) -> int | None:
        found = [client.most_choices for client in self._policies.clients]
        return min((most for most in found if most), default=None)

    def verifier(self, meter: Meter) -> Verifier | None:
        """Return the verifier for one search, or None where there is none."""
        members = self.verifiers.members
        ports = [meter.verifier(self._retrying(one.port, meter)) for one in members]
        if self.verifiers.combine is None or not ports:
            return ports[0] if ports else None
        return combined(ports, [one.weight for one in members], self.verifiers.combine)

    def judge(self, meter: Meter) -> Judge | None:
        """Return what compares answers for one search, or None where no judge is open."""
        compare = self.verifiers.compare
        return compare and meter.judge(self._retrying(compare, meter))

    def _retrying(
        self, port: Callable[[Q], Awaitable[T]], meter: Meter
    ) -> Callable[[Q], Awaitable[T]]:
        return retrying(port, self._timeout_s, self._budget, meter.retried)


@asynccontextmanager
async def open_servers(servers: Servers, share: int = 1) -> AsyncGenerator[OpenServers]:
    """Connect to servers, or start the embedded ones if none are named.

    Keeps one part of `share` of the sequences in flight that the settings say, or that are found.
    Raises ConfigError for settings and ServerError for servers that do not work, or, unless
    `check` is off, that would ruin a search.
    """
    async with AsyncExitStack() as stack:
        policy_places, prm_places = await stack.enter_async_context(server_places(servers))
        session = await stack.enter_async_context(session_for(servers))
        open_one = partial(_policy, servers, session)
        policies, verifiers = await both(
            open_all("policy", policy_places, open_one),
            open_verifiers(servers, session, policy_places, prm_places, share),
        )
        check_replicas("policy", [(one.name, one.client.model) for one in policies if one.server])
        if servers.check and not servers.is_demo:
            await preflight(
                SearchParams(),
                [(one.server, one.client) for one in policies if one.server],
                [pair for one in verifiers.members for pair in one.checkable],
            )
        replicas = OpenReplicas(policies, servers.concurrency, share)
        looks = [replicas.follow("policy", policy_places, open_one)]
        looks += [one.follow() for one in verifiers.members]
        stack.push_async_callback(_ended, [asyncio.create_task(each) for each in looks])
        name = name_of(servers, policies[0].model, policy_places)
        yield _stacked(servers, name, replicas, verifiers)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Stop the tasks; raise what one of them failed of."""
    await stopped(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _policy(servers: Servers, session: Session, place: Place) -> Opened[PolicyClient]:
    if not isinstance(place, str):
        policy = FunctionPolicy.of(place)
        return Opened(FUNCTION, policy, policy.model)
    server = policy_server(servers, session, place)
    connect = partial(connect_policy, server, servers.policy_api, servers.model, asking_of(servers))

    async def ask_model() -> str:
        known = await lists(client.address or server, client.model)
        return client.model if known else (await connect()).model

    client = await patiently(connect)
    return Opened(place, client, client.model, server, ask_model)


def _stacked(
    servers: Servers, name: str, replicas: OpenReplicas[PolicyClient], verifiers: OpenVerifiers
) -> OpenServers:
    """Spread the requests over the replicas."""
    return OpenServers(
        policy_model=replicas.clients[0].model,
        policy_name=name,
        verifiers=verifiers,
        _timeout_s=servers.timeout_s,
        _any=_any(replicas),
        _policy=replicas.port(lambda policy: policy.sample, _tokens),
        _policies=replicas,
    )


class _AnyPolicy(Protocol):
    async def __call__(
        self, ask: Callable[[PolicyClient], Awaitable[T]], moved: Callable[[ServerError], None]
    ) -> T: ...


def _any(policies: OpenReplicas[PolicyClient]) -> _AnyPolicy:
    """Have any replica do what is hardly any work, such as to render a prompt.

    `moved` is told of each failure after which another replica is asked.
    """
    turns = count()

    async def ask_any(
        ask: Callable[[PolicyClient], Awaitable[T]], moved: Callable[[ServerError], None]
    ) -> T:
        members = policies.replicas.members
        turn = next(turns) % len(members)
        in_turn = [(one, policies.client(one)) for one in members[turn:] + members[:turn]]
        *first, last = sorted(in_turn, key=lambda pair: pair[0].failures)
        for place in first:
            try:
                return await confirmed(*place, ask)
            except TransientServerError as error:
                moved(error)
        return await confirmed(*last, ask)

    async def confirmed(
        replica: Replica, client: PolicyClient, ask: Callable[[PolicyClient], Awaitable[T]]
    ) -> T:
        await replica.confirm()
        return await ask(client)

    return ask_any


def _tokens(samples: Samples) -> int:
    return sum(step.num_tokens for step in samples.steps if step)
