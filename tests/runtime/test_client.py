"""The library: one client for many problems, against the demo servers over HTTP."""

import asyncio
import re
from dataclasses import replace
from urllib.request import urlopen

import pytest

from tests.conftest import DemoServers
from tests.fakes.scripted_server import scripted_server
from ttc_client import Client, SearchParams, SearchResult, Servers, TTCError, solve
from ttc_client.bench.checks import check_trace
from ttc_client.runtime.records import Trace, texts
from ttc_client.settings.endpoints import DemoWarning
from ttc_servers.demomath import generate

PROBLEM = r"Compute $\frac{3}{4} + \frac{5}{6}$."


PARAMS = SearchParams(strategy="dvts", n=8)


def named(servers: DemoServers, **settings) -> Servers:
    return Servers(policy=(servers.policy,), prm=(servers.prm,), **settings)


def counters(url: str) -> dict[str, float]:
    """Return a server's own totals, by name."""
    with urlopen(url + "/metrics") as response:
        lines = response.read().decode().splitlines()
    found = [re.fullmatch(r"vllm:(\w+)\{.*\} (\S+)", line) for line in lines]
    return {match[1]: float(match[2]) for match in found if match}


def outcome(result: SearchResult) -> SearchResult:
    """Return what of a result does not depend on time, or on what a cache held before."""
    usage = replace(result.usage, cached_tokens=0, prm_cached_tokens=0)
    return replace(result, wall_s=0, usage=usage)


async def test_without_servers_it_starts_its_own():
    with pytest.warns(DemoWarning, match="for real: --policy URL"):
        result = await solve(PROBLEM, PARAMS)
    assert result.demo
    assert result.policy.startswith("ttc-demo-policy")
    assert result.answer == result.choices["weighted"]
    assert result.answers[0].answer == result.answer
    assert sum(candidate.votes for candidate in result.candidates) <= 8
    assert result.usage.completion_tokens > 0
    assert {node.path for node in result.tree if node.kept} >= {c.path for c in result.candidates}


async def test_a_client_solves_many_problems_at_once_as_it_solves_each_alone(demo_servers):
    problems = [problem.problem for problem in generate("validation", 6)]
    async with Client(named(demo_servers)) as client:
        together = await asyncio.gather(*(client.solve(p, PARAMS) for p in problems))
        alone = [await client.solve(problem, PARAMS) for problem in problems]
    assert list(map(outcome, together)) == list(map(outcome, alone))
    assert [result.problem.question for result in together] == problems
    assert not any(result.demo for result in together)


@pytest.mark.parametrize("strategy", ["greedy", "majority", "best-of-n", "dvts"])
async def test_tokens_are_counted_as_the_servers_count_them(demo_servers, strategy):
    before = [counters(url) for url in demo_servers]
    params = SearchParams(strategy=strategy, n=8)
    result = await solve(PROBLEM, params, named(demo_servers, check=False))
    after = [counters(url) for url in demo_servers]
    policy, prm = (
        {name: now - then[name] for name, now in counted.items()}
        for then, counted in zip(before, after, strict=True)
    )
    usage = result.usage
    assert usage.completion_tokens == policy["generation_tokens_total"]
    assert usage.prompt_tokens == policy["prompt_tokens_total"]
    assert usage.cached_tokens == policy["prefix_cache_hits_total"]
    assert usage.prm_tokens == prm["prompt_tokens_total"]


async def test_an_abandoned_search_closes_its_requests_and_the_client_goes_on(demo_servers):
    async with Client(named(demo_servers)) as client:
        search = asyncio.create_task(client.solve(PROBLEM, replace(PARAMS, n=64)))
        while not counters(demo_servers.policy)["num_requests_running"]:
            assert not search.done()
            await asyncio.sleep(0)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        async with asyncio.timeout(5):
            while counters(demo_servers.policy)["num_requests_running"]:
                await asyncio.sleep(0)
        assert (await client.solve("Compute $2 + 3$.", PARAMS)).candidates


async def test_a_failed_search_is_one_error_that_names_the_server(demo_servers):
    async with scripted_server({"/health": lambda _: {}}) as broken:
        servers = DemoServers(demo_servers.policy, broken.url)
        with pytest.raises(TTCError, match=broken.url):
            await solve(PROBLEM, PARAMS, named(servers, prm_api="score"))


@pytest.mark.parametrize("strategy", ["particles", "rebase", "mcts", "revise", "rsa"])
async def test_a_strategy_finds_the_same_twice_and_its_tree_leads_to_its_candidates(
    strategy, demo_servers
):
    params = SearchParams(strategy=strategy, n=16)
    async with Client(named(demo_servers)) as client:
        one, other = await asyncio.gather(*(client.solve(PROBLEM, params) for _ in range(2)))
    assert outcome(one) == outcome(other)
    assert 0 < sum(candidate.votes for candidate in one.candidates) <= 16
    trace = Trace(id="p", strategy=strategy, n=16, seed=0, tree=one.tree)
    check_trace(trace)
    written = texts(trace)
    assert all(written[candidate.path] == candidate.text for candidate in one.candidates)
    asked = [node for node in one.tree if node.is_prompt]
    assert len(asked) == {"revise": 12, "rsa": 12}.get(strategy, 0)
