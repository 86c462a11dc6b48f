"""What every PRM client promises, whichever server it speaks to."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.clients.faults import FAULTS
from tests.fakes.prm_servers import BAD, GOOD, PRM_SERVERS
from tests.fakes.scripted_server import models, scripted_server
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.scores import PRMFacts
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

SCORES = {"zero": 0.75, "alpha": 0.9, "beta": 0.2, "gamma": 0.6, "delta": 0.4}
REQUEST = ScoreRequest(
    Problem(question="What?"), ("zero",), (("alpha", "beta"), ("gamma",), (), ("delta",))
)


def judge(text: str) -> float:
    """Score a text by the last known step in it."""
    last = max(SCORES, key=text.rfind)
    return SCORES[last] if last in text else 0.5


@pytest.fixture(params=PRM_SERVERS.values(), ids=PRM_SERVERS)
def kind(request):
    return request.param


@asynccontextmanager
async def prm(kind, judge=judge, *, timeout_s=5.0, **more):
    async with scripted_server(kind.replies(judge) | more) as server, Session() as session:
        client = Server(session, server.url, timeout_s, "secret", "THE_KEY")
        yield server, await connect_prm(client, kind.api, kind.form)


async def test_each_step_of_each_item_gets_its_score_in_order(kind):
    async with prm(kind) as (_, client):
        reply = await client.score(REQUEST)
    first = (0.2, 0.2) if kind.outcome else (0.9, 0.2)
    assert [pytest.approx(item) for item in reply.scores] == [first, (0.6,), (), (0.4,)]
    assert reply.usage.prm_requests == (1 if kind.batches else 4)


async def test_siblings_share_a_request_and_each_is_read_after_the_prefix(kind):
    async with prm(kind) as (server, client):
        await client.score(REQUEST)
        payloads = server.payloads(kind.path)
    texts = [text for payload in payloads for text in kind.read(payload)]
    assert len(payloads) == (1 if kind.batches else 4)
    ends = [max(SCORES, key=text.rfind) for text in texts]
    whole = kind.outcome or kind.path == "/pooling"
    assert sorted(ends) == ["alpha"] * (not whole) + ["beta", "delta", "gamma"]
    for text, end in zip(texts, ends, strict=True):
        assert text.index("What?") < text.index("zero") < text.index(end)


async def test_markers_in_the_problem_and_in_a_step_are_no_steps(kind):
    markers = "ки + - <extra_0> <|eot_id|> <|start_header_id|>"
    request = ScoreRequest(
        Problem(question=f"{markers} alpha?"), (), ((f"{markers} beta", "gamma"),)
    )
    async with prm(kind) as (_, client):
        (scores,) = (await client.score(request)).scores
    assert scores == pytest.approx((0.6, 0.6) if kind.outcome else (0.2, 0.6))


UNBOUNDED = {name: kind for name, kind in PRM_SERVERS.items() if not kind.bounded}


@pytest.mark.parametrize("kind", UNBOUNDED.values(), ids=UNBOUNDED)
@pytest.mark.parametrize("score", [1.5, -0.1])
async def test_a_score_that_is_no_probability_is_refused(kind, score):
    async with prm(kind, lambda _: score) as (_, client):
        with pytest.raises(ProtocolError, match=f"{score}, which is not a probability"):
            await client.score(REQUEST)


async def test_a_missing_score_is_refused_and_never_filled_in(kind):
    handler = kind.replies(judge)[kind.path]

    def spoiled(payload):
        reply = handler(payload)
        reply = json.loads(reply.text) if isinstance(reply, web.Response) else reply
        kind.spoil(reply)
        return web.json_response(reply)

    async with prm(kind, **{kind.path: spoiled}) as (server, client):
        with pytest.raises(ProtocolError, match=server.url + kind.path):
            await client.score(REQUEST)


async def test_cancelling_closes_every_request(kind):
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(payload):
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            released.set()

    async with prm(kind, **{kind.path: hold}) as (_, client):
        task = asyncio.create_task(client.score(REQUEST))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(released.wait(), 5)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_failure_is_one_of_our_errors_and_names_the_server(kind, fault):
    timeout_s = 0.2 if "within" in fault.says else 5.0
    async with prm(kind, timeout_s=timeout_s, **{kind.path: fault.answer}) as (server, client):
        with pytest.raises(fault.error, match=fault.says) as caught:
            await client.score(REQUEST)
    assert server.url in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_the_name_says_which_model_and_how_it_is_asked(kind):
    async with prm(kind) as (_, client):
        model, how = client.name.removesuffix(")").split(" (")
    assert model in ("a PRM", "model", "llama", "reward")
    assert how


FACTS = {
    "llama-cpp": PRMFacts("model", 4096, (GOOD, BAD)),
    "score": PRMFacts(),
    "generative-scoring": PRMFacts("model", 4096, (GOOD, BAD)),
    "completions": PRMFacts("model", 4096, (GOOD, BAD)),
    "token-classify": PRMFacts("model", 4096),
    "step-pooling": PRMFacts("model", 4096),
    "classify": PRMFacts("model", 4096),
    "tgi": PRMFacts("llama", 4095, (GOOD, BAD)),
    "tei": PRMFacts("reward", 512),
}


async def test_it_knows_what_its_server_says_of_the_model(kind):
    async with prm(kind) as (_, client):
        assert client.facts == FACTS[kind.api]


async def test_a_scoring_server_may_name_its_model_but_need_not():
    for answer, facts in (
        (models("prm", 512), PRMFacts("prm", 512)),
        (lambda _: web.Response(status=500), PRMFacts()),
    ):
        async with prm(PRM_SERVERS["score"], **{"/v1/models": answer}) as (_, client):
            assert client.facts == facts
