"""What the clients of causal PRMs in vLLM send, word for word."""

from contextlib import asynccontextmanager

import pytest

from tests.fakes.prm_servers import BAD, GOOD, PRM_SERVERS
from tests.fakes.scripted_server import models, scripted_server, tokenize
from ttc_client.clients.causal import first_of_two
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.errors import ContextLengthError, ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

REQUEST = ScoreRequest(Problem(question="What?"), ("one",), (("two", "three"),))

SYSTEM = (
    "<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
)

USER = "<|start_header_id|>user<|end_header_id|>"


def asked(text: str) -> str:
    user = f"<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
    return user + "<|start_header_id|>assistant<|end_header_id|>\n\n"


@asynccontextmanager
async def prm(api, form="auto", **more):
    replies = PRM_SERVERS[api].replies(lambda _: 0.5) | more
    async with scripted_server(replies) as server, Session() as session:
        yield server, await connect_prm(Server(session, server.url, 5), api, form)


async def test_generative_scoring_sends_what_is_shared_once():
    async with prm("generative-scoring") as (server, client):
        await client.score(REQUEST)
    assert server.payloads("/generative_scoring") == [
        {
            "model": "model",
            "query": SYSTEM + asked("What? one") + "+<|eot_id|>" + USER,
            "items": [
                item.removeprefix(USER)
                for item in (asked("two"), asked("two") + "+<|eot_id|>" + asked("three"))
            ],
            "label_token_ids": [GOOD, BAD],
            "apply_softmax": True,
            "add_special_tokens": True,
        }
    ]


async def test_completions_ask_for_the_logprobs_of_the_two_labels():
    async with prm("completions") as (server, client):
        await client.score(REQUEST)
    (payload,) = server.payloads("/v1/completions")
    start = SYSTEM + asked("What? one") + "+<|eot_id|>" + asked("two")
    assert payload.pop("prompt") == [start, start + "+<|eot_id|>" + asked("three")]
    assert payload == {
        "model": "model",
        "max_tokens": 1,
        "temperature": 0.0,
        "logprobs": 2,
        "logprob_token_ids": [GOOD, BAD],
        "return_tokens_as_token_ids": True,
    }


async def test_math_shepherd_reads_a_line_per_step_each_ended_by_its_marker():
    async with prm("generative-scoring", "math-shepherd") as (server, client):
        await client.score(REQUEST)
    (payload,) = server.payloads("/generative_scoring")
    assert payload["query"] == ""
    assert payload["items"] == [
        "What? one ки\ntwo ки",
        "What? one ки\ntwo ки\nthree ки",
    ]


def mistral(payload):
    labels = {"+": 648, "-": 387}
    known = labels.get(payload["prompt"])
    return {"tokens": [known]} if known else tokenize(payload)


@pytest.mark.parametrize(
    ("replies", "form"),
    [
        ({}, "RLHFlow"),
        ({"/v1/models": models("peiyi9979/math-shepherd-mistral-7b-prm")}, "Math-Shepherd"),
        ({"/tokenize": mistral}, "Math-Shepherd"),
    ],
)
async def test_the_format_goes_by_the_models_name_and_labels(replies, form):
    async with prm("completions", **replies) as (_, client):
        assert client.name.endswith(f" ({form}, completions)")


async def test_labels_without_tokens_are_refused():
    with pytest.raises(ProtocolError, match="/tokenize sent an unexpected answer"):
        async with prm("completions", **{"/tokenize": lambda _: {"tokens": []}}):
            pass


@pytest.mark.parametrize("api", ["generative-scoring", "completions", "token-classify"])
async def test_a_solution_that_the_server_would_cut_is_refused_before_it_is_sent(api):
    request = ScoreRequest(Problem(question="What?"), (), (("x" * 300,), ("y",)))
    async with prm(api, **{"/v1/models": models(max_model_len=400)}) as (server, client):
        with pytest.raises(ContextLengthError, match=r"reads 399: lower --max-completion-tokens"):
            await client.score(request)
        assert not server.payloads(PRM_SERVERS[api].path)


async def test_a_reply_without_a_labels_logprob_is_refused():
    choice = {"index": 0, "logprobs": {"top_logprobs": [{f"token_id:{GOOD}": -1.0}]}}
    reply = {"choices": [choice], "usage": {}}
    async with prm("completions", **{"/v1/completions": lambda _: reply}) as (_, client):
        with pytest.raises(ProtocolError, match=f"no logprob of the label token_id:{BAD}"):
            await client.score(ScoreRequest(Problem(question="What?"), (), (("x",),)))


def test_the_softmax_over_two_labels_does_not_overflow():
    assert first_of_two(-1.0, -1.0) == 0.5
    assert first_of_two(0.0, -1e4) == 1.0
    assert 0 <= first_of_two(-1e4, 0.0) < 1e-300


@pytest.mark.parametrize("none", [-9999.0, -10000.0, -3.4e38])
async def test_two_labels_without_any_probability_are_no_verdict(none):
    def complete(payload):
        labels = {f"token_id:{GOOD}": none, f"token_id:{BAD}": none}
        choice = {"text": "?", "logprobs": {"top_logprobs": [labels]}}
        made = [choice | {"index": i} for i, _ in enumerate(payload["prompt"])]
        return {"choices": made, "usage": {"prompt_tokens": None}}

    async with prm("completions", **{"/v1/completions": complete}) as (_, client):
        with pytest.raises(ProtocolError, match=r"neither \+ nor - is likely"):
            await client.score(REQUEST)


def test_one_label_without_any_probability_is_a_verdict():
    assert first_of_two(-0.1, -9999.0) == 1.0
    assert first_of_two(-9999.0, -0.1) == pytest.approx(0.0)
