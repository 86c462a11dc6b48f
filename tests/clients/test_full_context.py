"""A full context, in the words of many servers: the candidate ends there, or gets what is left."""

from dataclasses import replace

import pytest
from aiohttp import web

from tests.clients.test_openai import ask, choices, policy
from tests.clients.test_policy_contract import QUESTION
from tests.clients.test_vllm import policy as vllm_policy
from tests.fakes.scripted_server import scripted_server
from tests.fakes.tgi_server import tgi
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.clients.tgi import TGIPolicy
from ttc_client.errors import ContextLengthError, RequestError
from ttc_client.types import Step, Trajectory

ROOM_OF_24 = [
    "This model's maximum context length is 4096 tokens. However, you requested 4136 tokens (4072 "
    "in the messages, 64 in the completion).",
    "Requested token count exceeds the model's maximum context length of 4,096 tokens. You "
    "requested a total of 4136 tokens: 4072 tokens from the input messages and 64 tokens for the "
    "completion.",
    "You passed 4072 input tokens and requested 64 output tokens. However, the model's context "
    "length is only 4096 tokens",
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4072 `inputs` tokens and 64 "
    "`max_new_tokens`",
    "max_tokens is too large: 64. This model supports at most 24 completion tokens",
]
NO_ROOM = [
    "the request exceeds the available context size. try increasing the context size or enable "
    "context shift",
    "This model's maximum context length is 4096 tokens. However, you requested 0 output tokens "
    "and your prompt contains at least 4097 input tokens",
    "Input is too long for the model: the context window is full",
    "Prompt contains 5000 tokens and 0 draft tokens, too large for model with 4096 maximum context "
    "length",
    "Prompt length (5000) exceeds maximum input length (4096)",
    "Input length 5000 exceeds the maximum allowed token size 4096",
    "Too many prompt tokens: 5000 of 4096",
    "Input tokens exceed the configured limit of 4096 tokens",
    "the sequence exceeds n_ctx",
]


def refused(said: str, status: int = 400) -> web.Response:
    return web.json_response({"error": {"message": said}}, status=status)


async def grown(client) -> Trajectory:
    root = await client.root(QUESTION)
    return replace(root, steps=(Step("so\n\n", "stop", 2, (1, 2) if root.token_ids else ()),))


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("said", NO_ROOM)
async def test_a_step_that_finds_the_context_full_ends_by_length(said, status):
    async with policy(**{"/v1/completions": lambda _: refused(said, status)}) as (server, client):
        samples = await client.sample(ask(await grown(client), n=2))
        assert len(server.payloads("/v1/completions")) == 1
        with pytest.raises(ContextLengthError):
            await client.sample(ask(await client.root(QUESTION), n=2))
    assert samples.steps == (Step("", "length", 0),) * 2


@pytest.mark.parametrize("said", ROOM_OF_24)
async def test_where_a_refusal_says_how_much_is_left_that_much_is_asked_for(said):
    def complete(payload):
        return refused(said) if payload["max_tokens"] > 24 else choices("x\n\n")

    async with policy(**{"/v1/completions": complete}) as (server, client):
        samples = await client.sample(ask(await grown(client), n=1))
        limits = [payload["max_tokens"] for payload in server.payloads("/v1/completions")]
    assert limits == [64, 24]
    assert samples.steps[0].text == "x\n\n"


async def test_where_that_is_refused_too_the_candidate_ends():
    async with policy(**{"/v1/completions": lambda _: refused(ROOM_OF_24[0])}) as (_, client):
        samples = await client.sample(ask(await grown(client), n=1))
    assert samples.steps == (Step("", "length", 0),)


async def test_it_ends_so_where_the_server_does_not_list_what_its_model_reads():
    served = {"/v1/models": lambda _: {"data": [{"id": "model", "max_model_len": None}]}}
    served["/v1/completions"] = lambda _: refused(NO_ROOM[1])
    async with vllm_policy(**served) as (_, client):
        parent = await grown(client)
        samples = await client.sample(ask(parent, n=2))
    assert samples.steps == (Step("", "length", 0),) * 2
    assert samples.prompt_ids == parent.token_ids


async def test_it_ends_so_in_tgi_too():
    async with scripted_server(tgi(lambda _: {})) as server, Session() as session:
        client = await TGIPolicy.connect(Server(session, server.url, 5), None)
        said = "Input validation error: `inputs` must have less than 100 tokens. Given: 200"
        body = {"error": said, "error_type": "validation"}
        server.replies["/generate"] = lambda _: web.json_response(body, status=422)
        samples = await client.sample(ask(await grown(client), n=1))
    assert samples.steps == (Step("", "length", 0),)


BYTES = [
    (413, "Request Entity Too Large"),
    (413, "Payload Too Large"),
    (413, "Content Too Large"),
    (413, "request is too large"),
    (413, "Your request body is too long: it exceeds the limit of 1 MB"),
    (413, "Maximum request body size 1048576 exceeded, actual body size 1048577"),
    (400, "the length of the input exceeds the limit of 65536 bytes"),
    (422, "request entity too large"),
]
HTML = "<html><head><title>413 Request Entity Too Large</title></head><body>nginx</body></html>"


@pytest.mark.parametrize(("status", "said"), BYTES)
async def test_a_proxys_limit_on_the_body_is_an_error_that_names_it(status, said):
    async with policy(**{"/v1/completions": lambda _: refused(said, status)}) as (_, client):
        with pytest.raises(RequestError, match="client_max_body_size") as raised:
            await client.sample(ask(await grown(client), n=2))
    assert not isinstance(raised.value, ContextLengthError)


async def test_so_is_the_page_of_a_proxy_and_headers_are_told_apart():
    page = web.Response(text=HTML, status=413, content_type="text/html")
    async with policy(**{"/v1/completions": lambda _: page}) as (_, client):
        with pytest.raises(RequestError, match="client_max_body_size") as raised:
            await client.sample(ask(await grown(client), n=2))
    assert not isinstance(raised.value, ContextLengthError)
    said = refused("Request Header Or Cookie Too Large")
    async with policy(**{"/v1/completions": lambda _: said}) as (_, client):
        with pytest.raises(RequestError, match="large_client_header_buffers"):
            await client.sample(ask(await grown(client), n=2))


async def test_a_413_that_speaks_of_tokens_is_a_full_context():
    said = refused("`inputs` must have less than 512 tokens. Given: 600", 413)
    async with policy(**{"/v1/completions": lambda _: said}) as (_, client):
        samples = await client.sample(ask(await grown(client), n=1))
    assert samples.steps == (Step("", "length", 0),)
