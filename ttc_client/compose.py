"""Open the servers of a search, and stack clients and wrappers: the only place that does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from ttc_client.clients.connect import PolicyClient, PRMClient, connect_policy, connect_prm
from ttc_client.clients.http import Server, base_url, open_session
from ttc_client.config import SearchConfig
from ttc_client.meter import Meter
from ttc_client.middleware import A, Limiter, Port, R, Replica, balanced, limited, retrying
from ttc_client.ports import PRM, Policy
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True)
class Servers:
    """The open servers of a run; each search gets ports of its own that count what it spends."""

    config: SearchConfig
    policy_model: str
    prm_model: str | None
    policy_name: str
    prm_name: str | None
    _root: Callable[[str], Awaitable[Trajectory]]
    _policy: Policy
    _prm: PRM | None

    async def root(self, problem: str, meter: Meter) -> Trajectory:
        """Return the empty trajectory of a problem, as the policy's server reads it."""
        return await retrying(self._root, self.config.timeout_s, meter.retried)(problem)

    def policy(self, meter: Meter) -> Policy:
        """Return the policy for one search."""
        return meter.policy(retrying(self._policy, self.config.timeout_s, meter.retried))

    def prm(self, meter: Meter) -> PRM | None:
        """Return the PRM for one search, or None where it needs none."""
        if self._prm is None:
            return None
        return meter.prm(retrying(self._prm, self.config.timeout_s, meter.retried))


@asynccontextmanager
async def open_servers(config: SearchConfig) -> AsyncGenerator[Servers]:
    """Connect to the servers of a configuration, or start the embedded ones if it names none."""
    async with AsyncExitStack() as stack:
        policy_urls = [base_url(url, "policy") for url in config.policy]
        prm_urls = [base_url(url, "prm") for url in config.prm]
        if not policy_urls:
            from ttc_servers.embedded import embedded_servers

            policy_url, prm_url = await stack.enter_async_context(embedded_servers())
            policy_urls, prm_urls = [policy_url], [prm_url]
        session = await stack.enter_async_context(open_session())
        policies, prms = await asyncio.gather(
            _policies(config, session, policy_urls, stack),
            _prms(config, session, prm_urls if config.uses_prm else []),
        )
        yield Servers(
            config,
            policy_model=policies[0].model,
            prm_model=prms[0].name if prms else None,
            policy_name=f"{policies[0].model} at {', '.join(policy_urls)}",
            prm_name=f"{prms[0].name} at {', '.join(prm_urls)}" if prms else None,
            _root=policies[0].root,
            _policy=_replicated(config, policy_urls, [policy.sample for policy in policies]),
            _prm=_replicated(config, prm_urls, [prm.score for prm in prms]) if prms else None,
        )


async def _policies(
    config: SearchConfig, session: aiohttp.ClientSession, urls: list[str], stack: AsyncExitStack
) -> Sequence[PolicyClient]:
    async def connect(url: str) -> PolicyClient:
        server = Server(session, url, config.timeout_s, config.policy_api_key, "TTC_POLICY_API_KEY")
        opened = connect_policy(server, config.policy_api, config.model, config.system_prompt)
        return await stack.enter_async_context(opened)

    return await asyncio.gather(*map(connect, urls))


async def _prms(
    config: SearchConfig, session: aiohttp.ClientSession, urls: list[str]
) -> Sequence[PRMClient]:
    async def connect(url: str) -> PRMClient:
        server = Server(session, url, config.timeout_s, config.prm_api_key, "TTC_PRM_API_KEY")
        return await connect_prm(server, config.prm_api, config.prm_format)

    return await asyncio.gather(*map(connect, urls))


def _replicated(
    config: SearchConfig, urls: Sequence[str], ports: Sequence[Port[R, A]]
) -> Port[R, A]:
    """Give each replica a limiter of its own, and spread the requests over them."""
    return balanced(
        [
            (Replica(url), limited(port, Limiter(config.concurrency)))
            for url, port in zip(urls, ports, strict=True)
        ]
    )
