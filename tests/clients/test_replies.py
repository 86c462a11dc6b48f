"""What servers send back in other shapes than their API promises: errors with 200, dates, lists."""

import time
from email.utils import formatdate

import pytest
from aiohttp import web

from tests.clients.test_openai import ask, choices, policy
from tests.clients.test_policy_contract import QUESTION
from tests.clients.test_vllm import policy as vllm_policy
from tests.fakes.scripted_server import completions
from ttc_client.clients.replies import error_message, error_status, seconds_to_wait
from ttc_client.errors import ContextLengthError, RequestError, TransientServerError
from ttc_client.middleware.meter import Meter
from ttc_client.middleware.retries import RetryBudget, retrying


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error": {"code": 429, "message": "Rate limited upstream"}}', 429),
        (b'{"error": {"code": "429", "message": "x"}}', 429),
        (b'{"object": "error", "message": "x", "code": 503}', 503),
        (b'{"object": "error", "message": "x", "type": "BadRequestError", "code": null}', 400),
        (b'{"error": {"type": "rate_limit_exceeded", "message": "x"}}', 429),
        (b'{"error": {"status": "RESOURCE_EXHAUSTED", "message": "x"}}', 429),
        (b'{"error": {"type": "invalid_request_error", "message": "x", "code": null}}', 400),
        (b'{"error": {"type": "overloaded_error", "message": "x"}}', 503),
        (b'{"error": {"message": "engine dead"}}', 500),
        (b'{"error": "engine dead"}', 500),
        (b'{"error": null, "choices": []}', None),
        (b'{"hello": "world"}', None),
        (b'["error"]', None),
        (b'{"error": {"co', None),
    ],
)
def test_an_error_object_stands_for_a_status(body, status):
    assert error_status(body) == status


async def sampled(client):
    """Sample as a search does, with retries."""
    port = retrying(client.sample, 60, RetryBudget(), Meter().retried)
    return await port(ask(await client.root(QUESTION), n=1, stop=()))


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"code": 429, "message": "Rate limited upstream"}},
        {"object": "error", "message": "x", "code": 503},
    ],
)
async def test_an_error_object_with_200_is_that_error_and_is_retried_where_it_may_pass(error):
    replies = iter([error, choices("x")])
    async with policy(**{"/v1/completions": lambda _: next(replies)}) as (_, client):
        assert (await sampled(client)).steps[0].text == "x"
    good = completions(lambda payload, i: ("x", "stop", None))
    first = iter([error])
    served = {"/v1/completions": lambda payload: next(first, None) or good(payload)}
    async with vllm_policy(**served) as (_, client):
        assert (await sampled(client)).steps[0].text == "x"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ({"code": 401, "message": "no such key"}, RequestError),
        ({"code": 400, "message": "the maximum context length is 5 tokens"}, ContextLengthError),
        ({"code": 502, "message": "upstream is down"}, TransientServerError),
    ],
)
async def test_it_is_told_as_that_error_in_the_servers_words(error, raised):
    async with policy(**{"/v1/completions": lambda _: {"error": error}}) as (_, client):
        with pytest.raises(raised, match=error["message"]) as caught:
            await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    assert caught.value.status == error["code"]


def test_every_complaint_of_a_list_is_told():
    complaints = [
        {"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "Extra inputs", "input": -1},
        {"type": "int_type", "loc": ["body", "stop", 0], "msg": "Input should be a string"},
    ]
    body = web.json_response({"detail": complaints}).body
    said = "body.top_k: Extra inputs; body.stop.0: Input should be a string"
    assert error_message(body) == said
    assert error_message(b'[{"error": {"message": "a"}}, {"error": {"message": "b"}}]') == "a; b"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_gmt_wherever_this_machine_is(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        at = time.time() + 5
        asctime = time.asctime(time.gmtime(at))
        for date in (asctime, formatdate(at, usegmt=True), formatdate(at)):
            assert 3 < (seconds_to_wait(date) or 0) <= 5, date
    finally:
        monkeypatch.undo()
        time.tzset()
