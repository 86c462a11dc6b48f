"""LiteLLM's proxy before the embedded policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.templates import IN_LLAMA3
from tests.real.conftest import ROOT, Models
from tests.real.proxies import MASTER_KEY, litellm
from ttc_client import Client
from ttc_client.clients.connect import connect_policy
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.doctor import sampling, tokens
from ttc_client.errors import ServerError
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.settings.servers import Servers

MODEL = "ttc-demo-policy"


@pytest.fixture(scope="module")
def gateway(
    environment: Path, embedded: Models, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with litellm(environment, tmp_path_factory.mktemp("litellm"), embedded.policy, MODEL) as url:
        yield url


async def test_litellm_that_returns_ids_and_refuses_them_is_sent_text(
    gateway: str, session: Session
) -> None:
    server = Server(session, gateway, 60, api_key=MASTER_KEY)
    policy = await connect_policy(server, "vllm", "as-vllm", IN_LLAMA3)
    found = await tokens.token_ids(policy)
    assert (found.status, policy.speaks_ids) == ("warn", False), found
    step = await policy.sample(
        SampleRequest(await policy.root(tokens.PROBLEM), 2, 0.8, 1.0, 128, ("\n\n",), 1)
    )
    assert all(one and one.finish == "stop" for one in step.steps)


async def test_a_search_through_litellm_is_checked_first_and_fails_nowhere(
    gateway: str, embedded: Models
) -> None:
    servers = Servers(
        policy=gateway,
        policy_api_key=MASTER_KEY,
        model="as-vllm",
        prm=embedded.prm,
        chat_template=str(ROOT / "servers" / "templates" / "llama3.jinja"),
    )
    params = SearchParams(strategy="dvts", n=8, m=4, max_completion_tokens=256)
    async with Client(servers) as client:
        result = await client.solve("Compute $17 + 25$.", params)
    assert not result.usage.failures
    assert sum(candidate.votes for candidate in result.candidates) == 8


async def test_litellms_cache_of_replies_is_found(gateway: str, session: Session) -> None:
    server = Server(session, gateway, 60, api_key=MASTER_KEY)
    policy = await connect_policy(server, "openai", "as-openai", IN_LLAMA3)
    found = await sampling.repeats(policy, SearchParams())
    assert (found.status, "cache" in found.seen) == ("warn", True), found


async def test_litellms_words_for_a_wrong_key_come_with_a_hint(
    gateway: str, session: Session
) -> None:
    server = Server(session, gateway, 60, api_key="sk-wrong", key_variable="TTC_POLICY_API_KEY")
    with pytest.raises(ServerError, match="check TTC_POLICY_API_KEY"):
        await connect_policy(server, "vllm", None, IN_LLAMA3)
