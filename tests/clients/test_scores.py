"""The project's own scoring protocol, as its client speaks it."""

from contextlib import asynccontextmanager

import pytest

from tests.fakes.scripted_server import scripted_server
from ttc_client.clients.http import Server
from ttc_client.clients.scores import ScoreProtocol
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem, Usage

REQUEST = ScoreRequest(Problem(question="What?"), ("one",), (("two", "three"), ()))
GOOD = {"scores": [[0.9, 0.2], []], "usage": {"prompt_tokens": 9, "cached_tokens": 4}, "version": 1}


@asynccontextmanager
async def prm(reply):
    async with scripted_server({"/score": lambda _: reply}) as server, Session() as session:
        yield server, ScoreProtocol(Server(session, server.url, 5))


async def test_all_items_go_into_one_request_as_the_protocol_says():
    async with prm(GOOD) as (server, client):
        scores = await client.score(REQUEST)
    assert server.payloads("/score") == [
        {"problem": "What?", "prefix": ["one"], "items": [["two", "three"], []], "version": 1}
    ]
    assert scores.scores == ((0.9, 0.2), ())
    assert scores.usage == Usage(prm_tokens=9, prm_cached_tokens=4, prm_requests=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 2 of the protocol, not 1"),
        ({"scores": [[0.9], [0.2]]}, "not one score per step of each item"),
        ({"scores": [[0.9, 0.2]]}, "not one score per step of each item"),
        ({"scores": [[0.9, 2.0], []]}, "a score of 2.0"),
        ({"scores": [[0.9, None], []]}, "null"),
    ],
)
async def test_another_answer_is_refused(change, says):
    async with prm(GOOD | change) as (_, client):
        with pytest.raises(ProtocolError, match=says):
            await client.score(REQUEST)
