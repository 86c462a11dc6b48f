"""The embedded servers keep the contract of model servers."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.server_contract import ServerContract, Servers
from ttc_servers.embedded import embedded_servers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    async with embedded_servers() as (policy, prm):
        yield Servers(policy, prm)


class TestEmbedded(ServerContract):
    prm_apis = ("score", "generative-scoring", "completions")
