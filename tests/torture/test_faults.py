"""Whole searches through everything that goes wrong: the same answers, and every fault counted."""

import asyncio
import gc
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

import pytest

from scripts.torture.faults import CAUSES
from scripts.torture.soak import num_files
from tests.fakes.chance_servers import chance_servers
from tests.fakes.fault_proxy import FAULTS, fault_proxy
from ttc_client import Client, SearchParams, SearchResult, Servers
from ttc_client.middleware import replicas, retries
from ttc_client.types import Usage

descriptors = partial(num_files, "/proc/self/fd")
PARAMS = SearchParams(n=16, m=4)
PROBLEMS = [f"What is {i}?" for i in range(12)]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(retries, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(replicas, "_FIRST_PAUSE_S", 0.02)


def named(*urls: str, **more) -> Servers:
    return Servers(policy=urls, prm=urls, prm_api="score", check=False, **more)


async def solve_all(servers: Servers) -> list[SearchResult]:
    async with Client(servers) as client:
        return await asyncio.gather(*(client.solve(problem, PARAMS) for problem in PROBLEMS))


def found(results: list[SearchResult]) -> list:
    return [(result.answer, result.candidates, result.tree) for result in results]


async def test_faults_change_no_answer_and_each_is_counted():
    rates = {name: 3 * rate for name, rate in FAULTS.items()}
    async with chance_servers() as server, fault_proxy(server.url, rates) as proxy:
        undisturbed = await solve_all(named(server.url))
        results = await solve_all(named(proxy.url))
    assert found(results) == found(undisturbed)
    assert proxy.faults.keys() == {*FAULTS, "replaced"}
    retries = Counter(sum((result.usage for result in results), Usage()).retries)
    noticed = [Counter({cause: proxy.faults[fault]}) for fault, cause in CAUSES.items()]
    assert retries == sum(noticed, Counter())
    for result, calm in zip(results, undisturbed, strict=True):
        assert result.usage == replace(calm.usage, retries=result.usage.retries)


async def test_a_replica_that_dies_and_comes_back_costs_no_problem():
    async with chance_servers() as server, AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(fault_proxy(server.url, seed=seed)) for seed in (1, 2)
        ]
        undisturbed = await solve_all(named(server.url))
        run = asyncio.create_task(solve_all(named(first.url, second.url)))
        while second.num_requests < 20 and not run.done():
            await asyncio.sleep(0)
        await second.stop()
        before = first.num_requests
        while first.num_requests < before + 20 and not run.done():
            await asyncio.sleep(0)
        assert not run.done(), "the searches ended before the replica could come back"
        await second.start()
        results = await run
    assert found(results) == found(undisturbed)


async def test_a_server_that_is_dead_for_good_fails_each_problem_in_time_with_its_reason():
    async with (
        chance_servers() as server,
        fault_proxy(server.url, {}) as proxy,
        Client(named(proxy.url, timeout_s=3)) as client,
    ):
        proxy.rates = {"503": 1.0}
        outcomes = await asyncio.gather(
            *(client.solve(problem, PARAMS) for problem in PROBLEMS), return_exceptions=True
        )
    assert all("answered 503: overloaded; given up after" in str(o) for o in outcomes)


async def test_a_thousand_cancelled_requests_leave_nothing_behind():
    release = asyncio.Event()

    async def never(_):
        await release.wait()

    async with chance_servers(completions=never) as server:
        limits = named(server.url, concurrency=400)
        async with Client(limits) as client:
            files, tasks = descriptors(), len(asyncio.all_tasks())
            for _ in range(5):
                searches = [asyncio.create_task(client.solve(p, PARAMS)) for p in PROBLEMS * 4]
                while len(server.payloads("/v1/completions")) == 0:
                    await asyncio.sleep(0.01)
                server.requests.clear()
                for search in searches:
                    search.cancel()
                for search in searches:
                    with suppress(asyncio.CancelledError):
                        await search
            release.set()
            server.replies["/v1/completions"] = lambda _: {}
            async with asyncio.timeout(10):
                while descriptors() > files + 4 or len(asyncio.all_tasks()) > tasks + 4:
                    gc.collect()
                    await asyncio.sleep(0.05)
