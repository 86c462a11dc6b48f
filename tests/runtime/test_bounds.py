"""A deadline or a token budget ends a search with the best so far."""

import asyncio
from dataclasses import replace

import pytest

from ttc_client import Client, SearchParams, Servers
from ttc_client.runtime.bounds import Bounds
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, walk
from ttc_client.types import Usage


async def solved(policy, params: SearchParams, bounds: Bounds):
    servers = Servers(policy=policy, prm=ScriptedVerifier(perfect))
    async with Client(servers) as client:
        return await client.solve("How many?", params, bounds=bounds)


async def test_a_token_budget_ends_a_search_after_the_request_that_spends_it():
    stuck = asyncio.Event()

    def gate(request: SampleRequest) -> asyncio.Event | None:
        return stuck if policy.requests.index(request) > 0 else None

    policy = ScriptedPolicy(walk, gate=gate)

    async def counted(request: SampleRequest) -> Samples:
        samples = await policy(request)
        return replace(samples, usage=Usage(completion_tokens=100 * request.n))

    bounds = Bounds(tokens=400)
    result = await solved(counted, SearchParams(strategy="best-of-n", n=64), bounds)
    assert bounds.reached == "tokens"
    assert result.note == "ended by its budget of 400 tokens with 4 of 64 completions"
    assert len(policy.cancelled) == 15


async def test_a_deadline_returns_the_completions_there_are_and_closes_the_others():
    stuck = asyncio.Event()

    def gate(request: SampleRequest) -> asyncio.Event | None:
        return stuck if policy.requests.index(request) > 1 else None

    policy = ScriptedPolicy(walk, gate=gate)
    bounds = Bounds(deadline_s=0.2)
    result = await solved(policy, SearchParams(strategy="best-of-n", n=16), bounds)
    assert bounds.reached == "deadline"
    assert sum(candidate.votes for candidate in result.candidates) == 8
    assert result.note == "ended by its deadline of 0.2 s with 8 of 16 completions"
    assert len(policy.cancelled) == 2
    assert policy.in_flight == 0


async def test_where_no_completion_is_there_the_longest_are_returned_as_cut():
    stuck = asyncio.Event()

    def gate(request: SampleRequest) -> asyncio.Event | None:
        return stuck if request.trajectory.steps else None

    policy = ScriptedPolicy(walk, gate=gate)
    bounds = Bounds(deadline_s=0.2)
    result = await solved(policy, SearchParams(strategy="dvts", n=8), bounds)
    assert {candidate.finish for candidate in result.candidates} == {"length"}
    assert result.counts.votes == 0
    assert len(result.tree) == len(result.candidates)


async def test_where_nothing_is_there_that_is_said():
    policy = ScriptedPolicy(walk, gate=lambda _: asyncio.Event())
    with pytest.raises(TimeoutError, match="before anything was written"):
        await solved(policy, SearchParams(strategy="dvts", n=8), Bounds(deadline_s=0.1))
    assert policy.in_flight == 0
