"""Whole searches through every client, and through replicas, one of which is gone."""

import asyncio
import random
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from tests.fakes.policy_servers import POLICY_SERVERS
from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import scripted_server, tokenize
from ttc_client import SearchParams, Servers, solve
from ttc_client.errors import TransientServerError
from ttc_client.middleware import retries
from ttc_client.middleware.meter import Meter
from ttc_client.runtime import opening
from ttc_client.runtime.stack import OpenServers, open_servers
from ttc_client.search.ports import SampleRequest, ScoreRequest
from ttc_client.testing import a_problem
from ttc_client.types import Message, Prompt, Trajectory


def write(seed):
    """End at every third seed, with an answer that the PRM likes if it is even."""
    return (f"so \\boxed{{{seed % 4}}}", "eos") if seed % 3 == 0 else (f"step {seed}\n\n", "stop")


def judge(text: str) -> float:
    return 0.9 if any(f"boxed{{{even}}}" in text for even in (0, 2)) else 0.3


async def search(policy_kind, prm_kind, strategy="dvts"):
    async with (
        scripted_server(policy_kind.replies(write)) as policy,
        scripted_server(prm_kind.replies(judge)) as prm,
    ):
        return await solve(
            "What?",
            SearchParams(strategy=strategy, n=4, m=2),
            Servers(
                policy=(policy.url,),
                prm=(prm.url,),
                policy_api=policy_kind.api,
                prm_api=prm_kind.api,
                prm_format=prm_kind.form,
                check=False,
            ),
        )


@pytest.mark.parametrize("kind", POLICY_SERVERS.values(), ids=POLICY_SERVERS)
async def test_every_policy_server_leads_the_same_search_to_the_same_answer(kind):
    result, expected = [
        await search(each, PRM_SERVERS["score"]) for each in (kind, POLICY_SERVERS["tgi"])
    ]
    assert [candidate.text for candidate in result.candidates]
    assert result.answer in ("0", "2")
    if kind.api != "openai":  # the SDK's seeds keep 31 bits
        assert result.candidates == expected.candidates


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
@pytest.mark.parametrize("kind", PRM_SERVERS.values(), ids=PRM_SERVERS)
async def test_every_prm_server_leads_the_same_search_to_the_same_answer(kind, strategy):
    result = await search(POLICY_SERVERS["vllm"], kind, strategy)
    expected = await search(POLICY_SERVERS["vllm"], PRM_SERVERS["score"], strategy)
    assert [c.path for c in result.candidates] == [c.path for c in expected.candidates]
    rewards = [candidate.reward for candidate in result.candidates]
    assert rewards == pytest.approx([candidate.reward for candidate in expected.candidates])
    assert result.answer == expected.answer


@asynccontextmanager
async def two_of_each():
    """Open two replicas of a policy and of a PRM; yields them and a way to stop the second ones."""
    async with AsyncExitStack() as lasting, AsyncExitStack() as passing:
        policies, prms = [
            [
                await stack.enter_async_context(scripted_server(replies))
                for stack in (lasting, passing)
            ]
            for replies in (
                POLICY_SERVERS["vllm"].replies(write),
                PRM_SERVERS["score"].replies(judge),
            )
        ]
        yield policies, prms, passing.aclose


async def ask_twenty(servers: OpenServers, meter: Meter) -> None:
    """Have one step of each of twenty problems sampled and scored."""
    policy, prm = servers.policy(meter), servers.verifier(meter)
    assert prm
    for index in range(20):
        problem = a_problem(f"p{index}")
        root = Trajectory(Prompt(problem.messages, "x", (1, 2)))
        samples = await policy(
            SampleRequest(root, 1, 0.8, 1.0, 64, (), seed=3, session=problem.key)
        )
        assert samples.steps[0].text == "so \\boxed{3}"
        scores = await prm(ScoreRequest(problem, (), (("so",),), session=problem.key))
        assert scores.scores == ((0.3,),)


def named(policies, prms) -> Servers:
    urls = {"policy": tuple(p.url for p in policies), "prm": tuple(p.url for p in prms)}
    return Servers(**urls, check=False)


async def test_the_work_is_spread_over_replicas():
    async with two_of_each() as (policies, prms, _):
        async with open_servers(named(policies, prms)) as servers:
            await ask_twenty(servers, Meter())
        assert all(len(policy.payloads("/v1/completions")) >= 3 for policy in policies)
        assert all(len(prm.payloads("/score")) >= 3 for prm in prms)


async def test_a_replica_that_goes_away_is_done_without():
    async with two_of_each() as (policies, prms, stop_the_second):
        async with open_servers(named(policies, prms)) as servers:
            await stop_the_second()
            meter = Meter()
            await ask_twenty(servers, meter)
        assert len(policies[0].payloads("/v1/completions")) == 20
        assert 1 <= meter.usage.retries["connection"] <= 4
        assert meter.usage.policy_requests == meter.usage.prm_requests == 20


def _overloaded(_):
    return web.json_response({"error": "overloaded"}, status=503)


async def test_a_prompt_that_one_replica_does_not_render_goes_to_another_and_is_counted():
    async with two_of_each() as (policies, prms, _):
        async with open_servers(named(policies, prms)) as servers:
            meter = Meter()
            before = len(policies[1].payloads("/tokenize"))
            policies[1].replies = {**policies[1].replies, "/tokenize": _overloaded}
            for _ in range(4):
                assert (await servers.root(meter)([Message("user", "What?")])).token_ids
        refused = len(policies[1].payloads("/tokenize")) - before
        assert refused
        assert meter.usage.retries == {"503": refused}


async def test_a_continuation_that_fails_is_asked_for_again_alone_where_each_has_a_request(
    monkeypatch,
):
    monkeypatch.setattr(retries, "_FIRST_PAUSE_S", 0.01)
    kind, luck, refused = POLICY_SERVERS["tgi"], random.Random(0), []
    replies = kind.replies(write)
    generate = replies[kind.path]

    def refuse_some(payload):
        if luck.random() < 0.2:
            refused.append(payload)
            return web.json_response({"error": "overloaded"}, status=503)
        return generate(payload)

    async with scripted_server({**replies, kind.path: refuse_some}) as server:
        named = Servers(policy=(server.url,), policy_api="tgi", check=False)
        async with open_servers(named) as servers:
            meter = Meter()
            request = SampleRequest(
                Trajectory(Prompt((), "x")), 64, 0.8, 1.0, 64, ("\n\n",), seed=3
            )
            samples = await servers.policy(meter)(request)
        assert len(samples.steps) == 64
        assert len(server.payloads(kind.path)) == 64 + len(refused)
        assert meter.usage.retries == {"503": len(refused)}
        assert meter.usage.policy_requests == 64


async def test_a_replica_that_is_gone_from_the_start_is_named():
    async with two_of_each() as (policies, prms, stop_the_second):
        await stop_the_second()
        with pytest.raises(
            TransientServerError, match=f"nothing answers at ({policies[1].url}|{prms[1].url})"
        ):
            async with open_servers(named(policies, prms)):
                pass


@pytest.mark.parametrize(("num_failures", "opens"), [(2, True), (3, False)])
async def test_servers_may_stumble_twice_while_they_are_opened(monkeypatch, num_failures, opens):
    monkeypatch.setattr(opening, "OPENING_PAUSES_S", (0.0, 0.0))
    asked = 0

    def models(_):
        nonlocal asked
        asked += 1
        loading = web.json_response({"error": "loading"}, status=503)
        return loading if asked <= num_failures else {"data": [{"id": "model"}]}

    async with scripted_server({"/v1/models": models, "/tokenize": tokenize}) as server:
        named = Servers(policy=(server.url,), check=False)
        async with AsyncExitStack() as opened:
            entering = opened.enter_async_context(open_servers(named))
            if opens:
                assert (await entering).policy_model == "model"
            else:
                with pytest.raises(TransientServerError, match="503: loading"):
                    await entering


async def test_a_silent_server_is_not_asked_again_while_it_is_opened():
    asked = 0

    async def never(_):
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    async with scripted_server({"/v1/models": never}) as server:
        named = Servers(policy=(server.url,), check=False, timeout_s=0.2)
        with pytest.raises(TransientServerError, match="no answer within"):
            async with open_servers(named):
                pass
    assert asked == 1
