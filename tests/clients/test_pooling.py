"""Whole solutions in one pass: what the pooling clients send, and which values they take."""

from contextlib import asynccontextmanager

import pytest

from tests.fakes.prm_servers import PRM_SERVERS, text_of
from tests.fakes.scripted_server import scripted_server, tokenize
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.formats import RLHFLOW, questions
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import QWEN_PRM_SYSTEM, question, render_chatml
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

REQUEST = ScoreRequest(Problem(question="What?"), ("one",), (("two", "three"),))


@asynccontextmanager
async def prm(api, judge=lambda _: 0.5, **more):
    replies = PRM_SERVERS[api].replies(judge) | more
    async with scripted_server(replies) as server, Session() as session:
        yield server, await connect_prm(Server(session, server.url, 5), api)


async def test_token_classification_sends_ids_with_one_bos_and_reads_the_ends_of_steps():
    ends: list[str] = []

    def judge(text):
        ends.append(text)
        return len(text) / 1000

    async with prm("token-classify", judge) as (server, client):
        (scores,) = (await client.score(REQUEST)).scores
    (payload,) = server.payloads("/pooling")
    (ids,) = payload.pop("input")
    assert payload == {"model": "model"}
    assert ids.count(1) == 1
    whole = text_of(ids)
    shared, rests = questions(RLHFLOW, REQUEST)
    assert whole == shared + rests[-1]
    asked = [payload["prompt"] for payload in server.payloads("/tokenize")]
    assert sum("two" in text for text in asked) == 1  # each step by itself
    assert [whole[: round(1000 * score)].count("assistant") for score in scores] == [2, 3]
    assert all(whole[: round(1000 * score)].endswith("<|end_header_id|>\n\n") for score in scores)


async def test_step_pooling_sends_a_marker_after_each_step_and_reads_the_good_class():
    async with prm("step-pooling", lambda text: 0.01 * text.count("h")) as (server, client):
        (scores,) = (await client.score(REQUEST)).scores
    start = render_chatml(question("What?", QWEN_PRM_SYSTEM))
    text = f"{start}one<extra_0>two<extra_0>three<extra_0>"
    assert server.payloads("/pooling") == [{"model": "model", "input": [text]}]
    assert scores[1] - scores[0] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "0 answers instead of 1"),
        ([{"index": 0, "data": [[0.5, 0.5]] * 2}], "2 values instead of 3"),
        ([{"index": 0, "data": [[0.2, 0.3, 0.5]] * 3}], "3 classes instead of 1 or 2"),
        ([{"index": 0, "data": [0.5, 0.5]}], "array"),
    ],
)
async def test_another_number_of_values_is_refused(data, says):
    async with prm("step-pooling", **{"/pooling": lambda _: {"data": data}}) as (_, client):
        with pytest.raises(ProtocolError, match=says):
            await client.score(REQUEST)


async def test_a_tokenizer_that_merges_over_the_end_of_a_step_is_refused():
    def merging(payload):
        reply = tokenize(payload)
        return reply | {"tokens": [*reply["tokens"], len(reply["tokens"])]}

    async with prm("token-classify", **{"/tokenize": merging}) as (_, client):
        with pytest.raises(ProtocolError, match="do not begin with those of its steps"):
            await client.score(REQUEST)
