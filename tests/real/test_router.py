"""SGLang's router before two embedded policies."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.fakes.templates import IN_LLAMA3
from tests.real.conftest import ROOT, Models, running
from tests.real.proxies import router
from ttc_client import Client, SearchParams
from ttc_client.clients.connect import connect_policy
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.doctor import tokens
from ttc_client.errors import ServerError
from ttc_client.search.ports import SampleRequest
from ttc_client.settings.servers import Servers

MODEL = "ttc-demo-policy"
TEMPLATE = ROOT / "servers" / "templates" / "llama3.jinja"


@pytest.fixture(scope="module")
def workers(embedded: Models) -> Iterator[Sequence[str]]:
    """Run a second policy beside the one that all tests share."""
    options = ["--port", "0", "--until-stdin-closes", "--model", "policy"]
    with running([sys.executable, "-m", "ttc_servers.embedded", *options]) as second:
        yield embedded.policy, second


@pytest.fixture(scope="module")
def routed(
    environment: Path, workers: Sequence[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with router(environment, tmp_path_factory.mktemp("router"), list(workers)) as url:
        yield url


async def written(session: Session, worker: str) -> float:
    """Return how many tokens a worker has written so far."""
    metrics = await Server(session, worker, 60).get_text("/metrics")
    return sum(map(float, re.findall(r"^vllm:generation_tokens_total{.*} (.+)$", metrics, re.M)))


async def test_a_search_is_the_same_over_two_workers_and_both_write(
    routed: str, workers: Sequence[str], embedded: Models, session: Session
) -> None:
    params = SearchParams(strategy="dvts", n=16, m=4, max_completion_tokens=256)
    found = []
    before = [await written(session, worker) for worker in workers]
    for policy, api, model in (routed, "openai", MODEL), (workers[1], "openai", MODEL):
        servers = Servers(
            policy=policy,
            policy_api=api,
            model=model,
            prm=embedded.prm,
            check=False,
            chat_template=str(TEMPLATE),
        )
        async with Client(servers) as client:
            result = await client.solve("Compute $17 + 25$.", params)
        assert not result.usage.failures
        found.append([(one.text, one.votes, one.reward) for one in result.candidates])
        if policy == routed:
            after = [await written(session, worker) for worker in workers]
            assert all(a > b for a, b in zip(after, before, strict=True))
    assert found[0] == found[1]


async def test_the_routers_own_words_name_a_wrong_model(routed: str, session: Session) -> None:
    policy = await connect_policy(Server(session, routed, 60), "openai", "typo", IN_LLAMA3)
    request = SampleRequest(await policy.root(tokens.PROBLEM), 1, 0.8, 1.0, 8, ("\n\n",), 1)
    with pytest.raises(ServerError) as raised:
        await policy.sample(request)
    assert "only chat" not in str(raised.value)


async def test_a_model_may_be_insisted_on_before_the_router(routed: str, session: Session) -> None:
    policy = await connect_policy(Server(session, routed, 60), "openai", MODEL, IN_LLAMA3)
    request = SampleRequest(await policy.root(tokens.PROBLEM), 1, 0.0, 1.0, 128, ("\n\n",), 1)
    (step,) = (await policy.sample(request)).steps
    assert step
    assert step.finish == "stop"
