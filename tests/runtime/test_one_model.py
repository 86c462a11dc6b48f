"""All replicas of a role serve one model: at opening, to the doctor, and when one comes back."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from tests.fakes.policy_servers import POLICY_SERVERS
from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import models, scripted_server
from ttc_client import SearchParams, Servers
from ttc_client.doctor.examine import examine
from ttc_client.errors import ConfigError, RequestError, TransientServerError
from ttc_client.middleware import replicas
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.stack import open_servers
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Prompt, Trajectory

NO_SUCH_MODEL = {"error": {"message": "The model `model` does not exist."}}


def refuse(_):
    return web.json_response(NO_SUCH_MODEL, status=404)


@asynccontextmanager
async def serving(kind, *names: str):
    """Run a server of this kind for each name, which is that of its model."""
    is_policy = kind in POLICY_SERVERS.values()
    replies = kind.replies(lambda _: ("x", "eos") if is_policy else 0.5)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                scripted_server({**replies, "/v1/models": models(name)})
            )
            for name in names
        ]


def urls(servers) -> tuple[str, ...]:
    return tuple(server.url for server in servers)


@pytest.mark.parametrize("check", [True, False])
async def test_policies_of_two_models_are_refused(check):
    async with serving(POLICY_SERVERS["vllm"], "one", "one", "two") as policies:
        says = f"{policies[2].url} serves two, but {policies[0].url} serves one: .* --policy"
        with pytest.raises(ConfigError, match=says):
            async with open_servers(Servers(policy=urls(policies), check=check)):
                pass


async def test_prms_of_two_models_are_refused():
    async with (
        serving(POLICY_SERVERS["vllm"], "policy") as policies,
        serving(PRM_SERVERS["generative-scoring"], "one", "two") as prms,
    ):
        named = Servers(policy=urls(policies), prm=urls(prms), check=False)
        with pytest.raises(ConfigError, match=r"serves two, but .* serves one: .* --prm"):
            async with open_servers(named):
                pass


async def test_the_doctor_fails_the_replica_of_another_model():
    async with serving(POLICY_SERVERS["vllm"], "one", "one", "two") as policies:
        found = await examine(Servers(policy=urls(policies)), SearchParams())
    failed = [
        [check.name for check in server.checks if check.name == "replicas"]
        for server in found.servers
    ]
    assert not found.ok
    assert failed == [[], [], ["replicas"]]


def request(session: str) -> SampleRequest:
    root = Trajectory(Prompt((), "x", (1, 2)))
    return SampleRequest(root, 1, 0.8, 1.0, 64, (), seed=3, session=session)


async def test_a_replica_that_has_another_model_now_is_done_without_until_it_has_ours(monkeypatch):
    monkeypatch.setattr(replicas, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("ttc_client.middleware.retries._FIRST_PAUSE_S", 0.01)
    async with serving(POLICY_SERVERS["vllm"], "model", "model") as policies:
        second, path = policies[1], "/v1/completions"
        write = second.replies[path]
        async with open_servers(Servers(policy=urls(policies), check=False)) as servers:
            meter = Meter()
            policy = servers.policy(meter)
            second.replies |= {"/v1/models": models("other"), path: refuse}
            for number in range(20):
                await policy(request(f"before {number}"))
            assert meter.usage.policy_requests == 20
            assert meter.usage.failures == {}
            assert 1 <= meter.usage.retries["connection"] < 10
            asked = len(second.payloads(path))
            assert asked == 1  # after that, it is asked for its model alone
            second.replies |= {"/v1/models": models("model"), path: write}
            async with asyncio.timeout(30):
                while len(second.payloads(path)) == asked:
                    await policy(request(f"after {len(policies[0].requests)}"))


async def test_the_one_server_that_comes_back_with_another_model_is_given_up_in_words(monkeypatch):
    monkeypatch.setattr(replicas, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("ttc_client.middleware.retries._FIRST_PAUSE_S", 0.01)
    async with serving(POLICY_SERVERS["vllm"], "model") as (server,):
        named = Servers(policy=(server.url,), check=False, timeout_s=1)
        async with open_servers(named) as servers:
            server.replies |= {"/v1/models": models("other"), "/v1/completions": refuse}
            with pytest.raises(TransientServerError, match="serves other now, but model when"):
                await servers.policy(Meter())(request("s"))


async def test_a_path_that_is_missing_is_no_other_model():
    async with AsyncExitStack() as stack:
        (server,) = await stack.enter_async_context(serving(POLICY_SERVERS["vllm"], "model"))
        named = Servers(policy=(server.url,), check=False)
        servers = await stack.enter_async_context(open_servers(named))
        server.replies["/v1/completions"] = refuse
        with pytest.raises(RequestError, match="404: The model `model` does not exist"):
            await servers.policy(Meter())(request("s"))
