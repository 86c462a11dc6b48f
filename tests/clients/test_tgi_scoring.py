"""A PRM in TGI: what is sent, and how the labels are found among the likeliest tokens."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.fakes.scripted_server import scripted_server
from tests.fakes.tgi_server import generated, tgi
from ttc_client.clients.causal import first_of_two
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.clients.tgi_scoring import TGIScoring
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

REQUEST = ScoreRequest(Problem(question="What?"), ("one",), (("two",),))


@asynccontextmanager
async def prm(top, form="math-shepherd", **more):
    replies = tgi(lambda _: generated("+", "length", top=top)) | more
    async with scripted_server(replies) as server, Session() as session:
        yield server, await TGIScoring.connect(Server(session, server.url, 5), form)


async def test_a_request_generates_one_token_and_asks_for_the_likeliest():
    async with prm({"+": -0.1, "-": -2.0}) as (server, client):
        scores = await client.score(REQUEST)
    assert server.payloads("/generate") == [
        {
            "inputs": "What? one ки\ntwo ки",
            "parameters": {
                "max_new_tokens": 1,
                "do_sample": False,
                "top_n_tokens": 5,
                "details": True,
            },
        }
    ]
    assert scores.scores == ((pytest.approx(first_of_two(-0.1, -2.0)),),)


@pytest.mark.parametrize(
    ("top", "score"),
    [
        ({"+": -0.1, "x": -3.0, "y": -4.0}, first_of_two(-0.1, -4.0)),
        ({"-": -0.1, "x": -3.0, "y": -4.0}, first_of_two(-4.0, -0.1)),
    ],
)
async def test_an_absent_label_is_as_likely_as_the_last_that_is_named(top, score):
    async with prm(top) as (_, client):
        assert (await client.score(REQUEST)).scores == ((pytest.approx(score),),)


async def test_without_either_label_there_is_no_score():
    async with prm({"The": -0.1, "So": -3.0}) as (_, client):
        with pytest.raises(ProtocolError, match=r"neither \+ nor - .* but 'The', 'So'"):
            await client.score(REQUEST)


async def test_labels_without_tokens_are_refused():
    with pytest.raises(ProtocolError, match=r"no token for \+ or -"):
        async with prm({}, **{"/tokenize": lambda _: web.json_response([])}):
            pass


async def test_without_a_tokenizer_the_labels_are_told_by_their_text():
    def none(payload):
        return web.json_response({"error": "No fast tokenizer available"}, status=404)

    async with prm({" +": -0.1, "-": -2.0}, **{"/tokenize": none}) as (_, client):
        scores = await client.score(REQUEST)
    assert scores.scores == ((pytest.approx(first_of_two(-0.1, -2.0)),),)
