"""Replicas that come and go while searches run."""

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.fakes.policy_servers import POLICY_SERVERS
from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import models, scripted_server
from ttc_client import Client, SearchParams, Servers
from ttc_client.errors import ConfigError, TransientServerError
from ttc_client.middleware.meter import Meter
from ttc_client.runtime import fleet, opening
from ttc_client.runtime.stack import open_servers
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Prompt, Trajectory

PATH = "/v1/completions"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(fleet, "LOOK_S", 0.02)
    monkeypatch.setattr(opening, "OPENING_PAUSES_S", (0.0, 0.0))


def write(seed):
    return (f"so \\boxed{{{seed % 4}}}", "eos") if seed % 3 == 0 else (f"step {seed}\n\n", "stop")


@asynccontextmanager
async def policies(*names: str):
    async with AsyncExitStack() as stack:
        replies = POLICY_SERVERS["vllm"].replies(write)
        yield [
            await stack.enter_async_context(
                scripted_server({**replies, "/v1/models": models(name)})
            )
            for name in names
        ]


def list_in(file, *servers):
    file.write_text("".join(f"{getattr(server, 'url', server)}\n" for server in servers))
    return f"@{file}"


def request(session: str) -> SampleRequest:
    root = Trajectory(Prompt((), "x", (1, 2)))
    return SampleRequest(root, 1, 0.8, 1.0, 64, (), seed=3, session=session)


async def ask(policy, until) -> int:
    """Ask one request after the other until something is so; return how many."""
    async with asyncio.timeout(20):
        num = 0
        while not until():
            await policy(request(f"s{num}"))
            num += 1
    return num


async def test_replicas_of_a_file_join_and_leave_while_requests_go_on(tmp_path, caplog):
    caplog.set_level(logging.INFO, "ttc_client.runtime.fleet")
    file = tmp_path / "hosts"
    async with policies("model", "model", "model") as (a, b, c):
        named = Servers(policy=list_in(file, a, b), check=False)
        async with open_servers(named) as servers:
            assert servers.policy_name == f"model at @{file}"
            meter = Meter()
            policy, capacity = servers.policy(meter), servers.capacity
            await ask(policy, lambda: a.payloads(PATH) and b.payloads(PATH))
            list_in(file, a, b, c)
            await ask(policy, lambda: c.payloads(PATH))
            assert servers.capacity == capacity * 3 // 2
            list_in(file, c)
            await ask(policy, lambda: "leaves" in caplog.text and servers.capacity < capacity)
            before = [len(server.payloads(PATH)) for server in (a, b)]
            for number in range(30):
                await policy(request(f"after {number}"))
                await servers.root(meter)(())
            assert [len(server.payloads(PATH)) for server in (a, b)] == before
            assert meter.usage.failures == meter.usage.retries == {}
    assert [record.getMessage() for record in caplog.records] == [
        f"{c.url} joins as a policy",
        f"{a.url} leaves as a policy",
        f"{b.url} leaves as a policy",
    ]


async def test_a_replica_that_leaves_finishes_what_it_has_and_its_queue_goes_elsewhere(tmp_path):
    file = tmp_path / "hosts"
    async with policies("model", "model") as (a, b):
        lets = {}
        for server in (a, b):
            lets[server.url] = let = asyncio.Event()

            async def held(payload, at_once=server.replies[PATH], let=let):
                await let.wait()
                return at_once(payload)

            server.replies = {**server.replies, PATH: held}
        named = Servers(policy=list_in(file, a, b), check=False, concurrency=1)
        async with open_servers(named) as servers, asyncio.timeout(20):
            meter = Meter()
            policy = servers.policy(meter)
            asked = [asyncio.create_task(policy(request(f"s{number}"))) for number in range(12)]
            while not (a.payloads(PATH) and b.payloads(PATH)):
                await asyncio.sleep(0.01)
            list_in(file, a)
            while servers.capacity > 1:
                await asyncio.sleep(0.01)
            lets[a.url].set()
            while sum(task.done() for task in asked) < 11:
                await asyncio.sleep(0.01)
            lets[b.url].set()
            await asyncio.gather(*asked)
            assert (len(a.payloads(PATH)), len(b.payloads(PATH))) == (11, 1)
            assert meter.usage.retries == {}


async def test_who_does_not_answer_or_has_another_model_is_left_out_and_said_once(tmp_path, caplog):
    file = tmp_path / "hosts"
    async with policies("model", "other") as (a, other):
        at_once = a.replies[PATH]
        named = Servers(policy=list_in(file, NOBODY, a), check=False)
        async with open_servers(named) as servers:
            assert servers.capacity == 256
            policy = servers.policy(Meter())
            list_in(file, NOBODY, a, other)
            await ask(policy, lambda: "and the others model" in caplog.text)
            await ask(policy, lambda: f"{NOBODY} is no policy yet" in caplog.text)
            asked = len(other.payloads("/v1/models")) + 5
            await ask(policy, lambda: len(other.payloads("/v1/models")) > asked)
            assert not other.payloads(PATH)
            other.replies = {**other.replies, "/v1/models": models("model"), PATH: at_once}
            await ask(policy, lambda: other.payloads(PATH))
            file.unlink()
            await ask(policy, lambda: "its replicas stay as they are" in caplog.text)
            assert servers.capacity == 512
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("a policy is done without until it answers: ")
    assert len(said) == len(set(said)) == 4


async def test_a_fleet_of_which_none_answers_is_told(tmp_path):
    named = Servers(policy=list_in(tmp_path / "hosts", NOBODY), check=False)
    with pytest.raises(TransientServerError, match=f"nothing answers at {NOBODY}"):
        async with open_servers(named):
            pass


async def test_the_last_one_stays_whatever_the_file_says(tmp_path):
    file = tmp_path / "hosts"
    async with AsyncExitStack() as stack:
        (a,) = await stack.enter_async_context(policies("model"))
        named = Servers(policy=list_in(file, a), check=False)
        servers = await stack.enter_async_context(open_servers(named))
        policy = servers.policy(Meter())
        list_in(file, NOBODY)
        asked = len(a.payloads(PATH))
        await ask(policy, lambda: len(a.payloads(PATH)) > asked + 50)


async def test_two_models_in_one_file_are_refused(tmp_path):
    async with policies("one", "two") as servers:
        named = Servers(policy=list_in(tmp_path / "hosts", *servers), check=False)
        with pytest.raises(ConfigError, match="serves two, but"):
            async with open_servers(named):
                pass


async def test_searches_lose_no_candidate_while_policies_and_prms_change(tmp_path):
    """Every 20 ms other two of four, and the results are those of one server each."""
    kind, files = PRM_SERVERS["score"], [tmp_path / "policies", tmp_path / "prms"]
    params = SearchParams(strategy="dvts", n=16, m=4)
    async with AsyncExitStack() as stack:
        writers = await stack.enter_async_context(policies(*["model"] * 4))
        prms = [
            await stack.enter_async_context(
                scripted_server(kind.replies(lambda text: 0.9 if "{2}" in text else 0.3))
            )
            for _ in range(4)
        ]

        def change(turn: int) -> None:
            for file, servers in zip(files, (writers, prms), strict=True):
                list_in(file, servers[turn % 4], servers[(turn + 1) % 4])

        async def go_on() -> None:
            turn = 0
            while True:
                change(turn)
                turn += 1
                await asyncio.sleep(0.04)

        change(0)
        alone = Servers(policy=writers[0].url, prm=prms[0].url, check=False)
        async with Client(alone) as client:
            expected = [await client.solve(f"What is {i}?", params) for i in range(20)]
        fleets = Servers(policy=f"@{files[0]}", prm=f"@{files[1]}", check=False)
        async with Client(fleets) as client:
            changing = asyncio.create_task(go_on())
            found = [await client.solve(f"What is {i}?", params) for i in range(20)]
            changing.cancel()
    assert [result.candidates for result in found] == [result.candidates for result in expected]
    assert {failure for result in found for failure in result.usage.failures} == set()
    assert all(len(server.payloads(PATH)) > 5 for server in writers)
    assert all(len(server.payloads("/score")) > 5 for server in prms)
