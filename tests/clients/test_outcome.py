"""Outcome reward models: what they read, and how their classes become one score."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import scripted_server, tokenize
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

REQUEST = ScoreRequest(Problem(question="What?"), ("one",), (("two", "three"), ("four",)))


@asynccontextmanager
async def prm(api, **more):
    replies = PRM_SERVERS[api].replies(lambda _: 0.5) | more
    async with scripted_server(replies) as server, Session() as session:
        yield server, await connect_prm(Server(session, server.url, 5), api)


async def test_classification_reads_the_conversation_in_the_models_own_template():
    async with prm("classify") as (server, client):
        await client.score(REQUEST)
    payloads = [p for p in server.payloads("/tokenize") if "What?" in str(p)]
    solutions = ["one\n\ntwo\n\nthree", "one\n\nfour"]
    assert payloads == [
        {
            "messages": [
                {"role": "user", "content": "What?"},
                {"role": "assistant", "content": solution},
            ],
            "add_generation_prompt": False,
        }
        for solution in solutions
    ]
    ids = [[ord(character) for character in "What?" + solution] for solution in solutions]
    assert server.payloads("/classify") == [{"model": "model", "input": ids}]


async def test_without_a_template_classification_reads_one_text():
    def plain(payload):
        if "messages" in payload:
            return web.json_response({"error": {"message": "no chat template"}}, status=400)
        return tokenize(payload)

    def classify(payload):
        data = [{"index": i, "probs": [0.3, 0.7]} for i in range(len(payload["input"]))]
        return {"data": data, "usage": {"prompt_tokens": 3}}

    async with prm("classify", **{"/tokenize": plain, "/classify": classify}) as (server, client):
        scores = await client.score(REQUEST)
    (payload,) = server.payloads("/classify")
    assert payload["input"] == ["What?\n\none\n\ntwo\n\nthree", "What?\n\none\n\nfour"]
    assert scores.scores == ((0.7, 0.7), (0.7,))


async def test_tei_gets_a_batch_of_lists_because_two_strings_would_be_a_pair():
    async with prm("tei") as (server, client):
        await client.score(REQUEST)
    texts = ["What?\n\none\n\ntwo\n\nthree", "What?\n\none\n\nfour"]
    assert server.payloads("/predict") == [
        {"inputs": [[text] for text in texts], "raw_scores": False}
    ]


def info(id2label, batch_size=32):
    kind = {"classifier": {"id2label": id2label, "label2id": {}}}
    return lambda _: {"model_id": "m", "model_type": kind, "max_client_batch_size": batch_size}


async def test_tei_takes_no_more_texts_at_once_than_it_says():
    def predict(payload):
        return [[{"score": len(text) / 100, "label": "0"}] for (text,) in payload["inputs"]]

    items = tuple(("x" * length,) for length in range(1, 6))
    async with prm("tei", **{"/info": info({"0": "0"}, 2), "/predict": predict}) as (
        server,
        client,
    ):
        scores = await client.score(ScoreRequest(Problem(question=""), (), items))
        assert sorted(len(p["inputs"]) for p in server.payloads("/predict")) == [1, 2, 2]
    assert [score for (score,) in scores.scores] == [0.03, 0.04, 0.05, 0.06, 0.07]
    assert scores.usage.prm_requests == 3


@pytest.mark.parametrize("names", [{"0": "bad", "1": "good"}, {"0": "LABEL_0", "1": "LABEL_1"}])
async def test_of_two_classes_the_second_is_the_good_one_in_whatever_order_they_come(names):
    said = [{"score": 0.8, "label": names["0"]}, {"score": 0.2, "label": names["1"]}]
    replies = {"/info": info(names), "/predict": lambda p: [said for _ in p["inputs"]]}
    async with prm("tei", **replies) as (_, client):
        assert (await client.score(REQUEST)).scores == ((0.2, 0.2), (0.2,))


@pytest.mark.parametrize("said", [[], [{"score": 0.5, "label": "joy"}] * 2])
async def test_classes_without_a_good_one_are_refused(said):
    async with prm("tei", **{"/predict": lambda p: [said for _ in p["inputs"]]}) as (_, client):
        with pytest.raises(
            ProtocolError, match=r"no class LABEL_1; the classes are (none|joy, joy)"
        ):
            await client.score(REQUEST)


async def test_more_than_two_classes_are_refused():
    def classify(payload):
        return {"data": [{"index": i, "probs": [0.2, 0.3, 0.5]} for i in range(2)]}

    async with prm("classify", **{"/classify": classify}) as (_, client):
        with pytest.raises(ProtocolError, match="3 classes, not 1 or 2"):
            await client.score(REQUEST)
