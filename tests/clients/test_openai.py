"""The OpenAI-compatible policy client with servers that offer less than the full API."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from traceback import format_exception

import pytest
from aiohttp import web

from tests.clients.test_http import sending
from tests.clients.test_policy_contract import QUESTION, ask
from tests.clients.test_session import a_proxy
from tests.fakes.policy_servers import llama_cpp
from tests.fakes.scripted_server import models, own_ca, scripted_server
from tests.fakes.templates import IN_LLAMA3
from ttc_client.clients import connection, openai_stream
from ttc_client.clients.http import Server
from ttc_client.clients.openai import OpenAIPolicy
from ttc_client.clients.opening import tls_context
from ttc_client.clients.prompts import question
from ttc_client.clients.session import Session
from ttc_client.errors import (
    ProtocolError,
    RequestError,
    TimedOutError,
    TooManyError,
    TransientServerError,
)
from ttc_client.middleware.parts import in_parts
from ttc_client.search.ports import SampleRequest, Samples


@asynccontextmanager
async def policy(timeout_s: float = 5, how: dict | None = None, **replies):
    served = {"/v1/models": models()} | replies
    async with scripted_server(served) as scripted, Session() as session:
        server = Server(session, scripted.url, timeout_s, **(how or {}))
        yield scripted, await OpenAIPolicy.connect(server, None, IN_LLAMA3)


async def split(client: OpenAIPolicy, request: SampleRequest) -> Samples:
    """Sample as a search does, with the request split where the server wants it so."""
    return await in_parts(client.sample, lambda: client.most_choices)(request)


def choices(*texts: str, **more) -> dict:
    return {
        "choices": [
            {"index": i, "text": text, "finish_reason": "stop", "stop_reason": None}
            for i, text in enumerate(texts)
        ],
        **more,
    }


async def test_every_sampling_field_is_sent():
    async with policy(**{"/v1/completions": lambda _: choices("x")}) as (server, client):
        await client.sample(ask(await client.root(QUESTION), n=1, top_p=0.9, seed=2**52 + 5))
        (payload,) = server.payloads("/v1/completions")
    del payload["prompt"]
    assert payload == {
        "model": "model",
        "n": 1,
        "max_tokens": 64,
        "temperature": 0.8,
        "top_p": 0.9,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "stop": ["\n\n"],
        "stream": False,
        "seed": 5,
    }


async def test_sampling_fields_of_ones_own_are_sent_and_never_left_out():
    def complete(payload):
        if "min_p" in payload:
            return web.json_response({"error": {"message": "Unknown field: min_p"}}, status=400)
        return choices("x")

    own = {"top_k": 20, "min_p": 0.1, "presence_penalty": 1.5}
    async with policy(**{"/v1/completions": complete}) as (server, client):
        root = await client.root(QUESTION)
        with pytest.raises(RequestError, match="Unknown field: min_p"):
            await client.sample(ask(root, n=1, **own))
        (payload, *_) = server.payloads("/v1/completions")
    assert {name: payload[name] for name in own} == own


async def test_what_a_server_refuses_is_tried_once():
    async with policy(**llama_cpp(lambda seed: ("a step\n\n", "stop"))) as (server, client):
        for _ in range(2):
            await split(client, ask(await client.root(QUESTION), n=2))
        payloads = server.payloads("/v1/completions")
    assert [payload.get("n", 1) for payload in payloads].count(2) == 1
    assert [payload.get("stream", False) for payload in payloads[-2:]] == [True, True]


async def test_a_server_that_passes_over_n_is_asked_one_by_one():
    def complete(payload):
        return choices(str(payload["seed"]), usage={"prompt_tokens": 7, "completion_tokens": 1})

    async with policy(**{"/v1/completions": complete}) as (server, client):
        for refused in (TooManyError, TooManyError):
            with pytest.raises(refused):
                await client.sample(ask(await client.root(QUESTION), n=3, stop=()))
        samples = await split(client, ask(await client.root(QUESTION), n=3, stop=()))
        await split(client, ask(await client.root(QUESTION), n=3, stop=()))
        assert [payload["n"] for payload in server.payloads("/v1/completions")] == [3, *[1] * 6]
    assert [step.text for step in samples.steps] == ["5", "6", "7"]
    assert samples.usage.prompt_tokens == 21


@pytest.mark.parametrize("said", [choices("a", "b"), choices("a", "b", "c", "d"), choices()])
async def test_another_number_of_choices_is_refused(said):
    async with policy(**{"/v1/completions": lambda _: said}) as (_, client):
        with pytest.raises(ProtocolError, match=r"answers instead of 3.*it begins .*choices"):
            await client.sample(ask(await client.root(QUESTION), n=3, stop=()))


async def test_tokens_are_counted_of_all_choices_where_the_server_counts_one():
    """As llama.cpp does, which tells by its timings."""

    def complete(payload):
        said = choices("x" * 40, "y" * 80, "z" * 400)
        usage = {"prompt_tokens": 7, "completion_tokens": 10}
        return said | {"usage": usage, "timings": {"predicted_n": 10}}

    async with policy(**{"/v1/completions": complete}) as (_, client):
        request = ask(await client.root(QUESTION), n=3, stop=())
        samples = await client.sample(request)
    assert [step.num_tokens for step in samples.steps] == [10, 21, 64]  # 64 were allowed
    assert samples.usage.completion_tokens == 95
    assert samples.usage.estimated_tokens == 85


async def test_tokens_are_estimated_where_the_server_counts_none():
    async with policy(**{"/v1/completions": lambda _: choices("x" * 30, "")}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=2, stop=()))
    assert samples.usage.completion_tokens == samples.usage.estimated_tokens == 12


@pytest.mark.parametrize("takes", [True, False])
async def test_a_streams_prompt_is_counted_by_its_last_event_or_estimated(takes):
    def answer(payload):
        if "stream_options" in payload and not takes:
            said = "Unrecognized request argument supplied: stream_options"
            return web.json_response({"error": {"message": said}}, status=400)
        events = [choices("the end").copy() | {"usage": None}]
        if payload.get("stream_options") == {"include_usage": True}:
            events += [{"choices": [], "usage": {"prompt_tokens": 99, "completion_tokens": 3}}]
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    async with policy(**{"/v1/completions": answer}) as (_, client):
        client.silent = True
        request = ask(await client.root(QUESTION), n=1)
        usage = (await client.sample(request)).usage
    if takes:
        assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated_tokens) == (99, 3, 0)
    else:
        assert usage.prompt_tokens == usage.estimated_tokens == 1 + len(request.text) // 3


@pytest.mark.parametrize("named", [None, "adapter"])
async def test_no_more_is_asked_for_than_the_listed_model_reads(named):
    """An adapter reads what its base model does; vLLM refuses to write more than that."""
    listed = [{"id": "base", "max_model_len": 512}, {"id": "adapter", "parent": "base"}]
    served = {"/v1/models": lambda _: {"data": listed}, "/v1/completions": lambda _: choices("x")}
    async with scripted_server(served) as scripted, Session() as session:
        server = Server(session, scripted.url, 5)
        client = await OpenAIPolicy.connect(server, named, IN_LLAMA3)
        request = replace(ask(await client.root(QUESTION), n=1), max_tokens=2048)
        await client.sample(request)
        (payload,) = scripted.payloads("/v1/completions")
    assert payload["model"] == (named or "base")
    assert payload["max_tokens"] == 511


async def test_a_stream_is_hung_up_on_at_the_delimiter():
    hung_up = asyncio.Event()

    async def written():
        try:
            for text in ("a st", "ep\n", "\nmo", "re"):
                yield f"data: {json.dumps(choices(text))}\n\n".replace('"stop"', "null").encode()
            await asyncio.Event().wait()
        finally:
            hung_up.set()

    async with policy(
        **{
            "/v1/completions": lambda _: web.Response(
                body=written(), content_type="text/event-stream"
            )
        }
    ) as (_, client):
        client.silent = True
        samples = await client.sample(ask(await client.root(QUESTION), n=1))
        await asyncio.wait_for(hung_up.wait(), 5)
    assert [(step.text, step.finish) for step in samples.steps] == [("a step\n\n", "stop")]


@pytest.mark.parametrize(
    "body", ["", "data: [DONE]\n\n", 'data: {"choices": null}\n\n', 'data: {"error": "full"}\n\n']
)
async def test_a_stream_that_breaks_off_is_an_error(body):
    response = {"text": body, "content_type": "text/event-stream"}
    async with policy(**{"/v1/completions": lambda _: web.Response(**response)}) as (_, client):
        client.silent = True
        with pytest.raises((TransientServerError, ProtocolError), match=client.server.url):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_a_stream_of_a_server_that_gives_no_reasons_ends_where_it_ends():
    piece = json.dumps({"choices": [{"index": 0, "text": "the end", "finish_reason": ""}]})
    whole = {"choices": [{"index": 0, "text": "a step", "finish_reason": ""}]}

    def answer(body):
        if not body["stream"]:
            return web.json_response(whole)
        text = f"data: {piece}\n\ndata: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    async with policy(**{"/v1/completions": answer}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=1))
    assert [(step.text, step.finish) for step in samples.steps] == [("the end", "eos")]


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        BEGUN + b'Content-Length: 99\r\n\r\n{"choices"',
        BEGUN + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"cho',
    ],
)
async def test_an_answer_broken_off_in_its_body_may_pass(raw):
    async with sending(raw) as server:
        client = await OpenAIPolicy.connect(server, "model", IN_LLAMA3)
        with pytest.raises(TransientServerError, match="broke off"):
            await client.sample(ask(await client.root(QUESTION), n=1))


@pytest.mark.parametrize("silent", [False, True])
async def test_what_is_not_http_is_an_error_of_ours_and_hides_the_key(silent):
    async with sending(b"sk-0123456789\r\n\r\n") as server:
        server = replace(server, api_key="sk-0123456789")
        client = await OpenAIPolicy.connect(server, "model", IN_LLAMA3)
        client.silent = silent
        with pytest.raises(TransientServerError, match=r"(?s)broke off.*\*\*\*") as raised:
            await client.sample(ask(await client.root(QUESTION), n=1))
    assert "sk-" not in "".join(format_exception(raised.value))


async def test_a_key_in_a_refusal_is_in_no_traceback():
    key = "sk-0123456789"

    def refuse(_):
        return web.json_response({"error": {"message": f"wrong key {key}"}}, status=401)

    async with policy(how={"api_key": key}, **{"/v1/completions": refuse}) as (_, client):
        with pytest.raises(RequestError, match=r"wrong key \*\*\*") as raised:
            await client.sample(ask(await client.root(QUESTION), n=1))
    assert key not in "".join(format_exception(raised.value))


async def test_a_problem_that_is_no_text_is_told_as_such():
    async with policy() as (_, client):
        with pytest.raises(RequestError, match="is the problem's text UTF-8"):
            await client.sample(ask(await client.root(question("p\ud800", "Be brief.")), n=1))


@pytest.mark.parametrize("proxy", ["user:secret@host:1", "ftp://user:secret@host:1"])
async def test_a_proxy_that_is_no_url_is_refused_without_its_password(proxy):
    async with Session() as session:
        server = Server(session, "http://policy.invalid", 5, proxy=proxy)
        client = await OpenAIPolicy.connect(server, "model", IN_LLAMA3)
        with pytest.raises(RequestError, match="check HTTP_PROXY") as raised:
            await client.sample(ask(await client.root(QUESTION), n=1))
    assert "secret" not in str(raised.value)


async def test_there_may_be_as_many_connections_as_requests():
    waiting, all_there = [], asyncio.Event()

    async def complete(payload):
        waiting.append(payload)
        if len(waiting) == 101:  # one more than most clients allow
            all_there.set()
        await all_there.wait()
        return choices("x")

    async with policy(timeout_s=60, **{"/v1/completions": complete}) as (_, client):
        client.manners.most = 1
        samples = await split(client, ask(await client.root(QUESTION), n=101, stop=()))
    assert len(samples.steps) == 101


async def test_a_body_without_end_is_refused_before_memory_is_full(monkeypatch):
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 1000)
    endless = {"text": " " * 1001, "content_type": "application/json"}
    async with policy(**{"/v1/completions": lambda _: web.Response(**endless)}) as (_, client):
        with pytest.raises(ProtocolError, match="more than 1000 bytes"):
            await client.sample(ask(await client.root(QUESTION), n=1))


@pytest.mark.parametrize(
    ("silent", "head"),
    [
        (False, b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n\r\n"),
        (True, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: "),
    ],
    ids=["error", "line"],
)
async def test_an_error_and_a_line_without_end_are_refused_too(silent, head, monkeypatch):
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 1000)
    async with sending(head + b"x" * 1001) as server:
        client = await OpenAIPolicy.connect(server, "model", IN_LLAMA3)
        client.silent = silent
        with pytest.raises(ProtocolError, match="more than 1000 bytes"):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_a_chat_gives_the_log_probabilities_of_its_tokens_where_they_are_asked_for():
    alternatives = [{"token": "x", "logprob": -0.5}, {"token": "y", "logprob": -1.5}]
    tokens = [{"token": "x", "logprob": -0.5, "top_logprobs": alternatives}] * 3
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "xxx"},
        "finish_reason": "stop",
        "logprobs": {"content": tokens},
    }
    async with policy(**{"/v1/chat/completions": lambda _: {"choices": [choice]}}) as opened:
        server, client = opened
        request = ask(await client.root(QUESTION), n=1, stop=())
        (silent,) = (await client.sample(request)).steps
        (rated,) = (await client.sample(replace(request, top_logprobs=2))).steps
        plain, asked = server.payloads("/v1/chat/completions")
    assert (silent.logprobs, silent.confidences) == ((), ())
    assert (rated.logprobs, rated.confidences) == ((-0.5,) * 3, (1.0,) * 3)
    assert asked == plain | {"logprobs": True, "top_logprobs": 2}


async def test_chat_alone_gives_whole_completions_and_no_steps_or_pieces():
    def chat(payload):
        return {
            "choices": [
                {"index": i, "message": {"role": "assistant", "content": f"{i}\n\nso"}}
                | {"finish_reason": "stop" if i else "length"}
                for i in range(payload["n"])
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 8},
        }

    async with policy(**{"/v1/chat/completions": chat}) as (server, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=2, stop=()))
        (payload,) = server.payloads("/v1/chat/completions")
        for part in ({"stop": ("\n\n",)}, {"stop": (), "is_piece": True}):
            with pytest.raises(RequestError, match="use greedy, majority or best-of-n"):
                await client.sample(ask(await client.root(QUESTION), **part))
    assert payload["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "p"},
    ]
    assert [(step.text, step.finish) for step in samples.steps] == [
        ("0\n\nso", "length"),
        ("1\n\nso", "eos"),
    ]
    assert samples.usage.completion_tokens == 8


USAGE = {"prompt_tokens": 7, "completion_tokens": 9}


def ended(text: str = "x", index: int = 0, **how) -> dict:
    return {"index": index, "text": text, "finish_reason": "stop", "stop_reason": None, **how}


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([ended(), ended(index=0)], "2 answers instead of 2, one of each index"),
        ([ended(stop_reason="END"), ended(index=1)], "ended by 'END', not asked for"),
    ],
)
async def test_what_was_not_asked_for_is_refused_and_quoted(said, says):
    reply = {"choices": said, "usage": USAGE}
    async with policy(**{"/v1/completions": lambda _: reply}) as (_, client):
        with pytest.raises(ProtocolError, match=f"{says}.*it begins .*choices"):
            await client.sample(ask(await client.root(QUESTION), n=2))


@pytest.mark.parametrize("count", [129, -1, 10**30])
async def test_a_count_of_tokens_that_cannot_be_is_refused(count):
    reply = choices("a", "b", usage={"prompt_tokens": 7, "completion_tokens": count})
    async with policy(**{"/v1/completions": lambda _: reply}) as (_, client):
        with pytest.raises(ProtocolError, match=r"completion_tokens|129 tokens where 2 times 64"):
            await client.sample(ask(await client.root(QUESTION), n=2))


async def test_choices_without_an_index_are_in_order():
    reply = choices("a", "b")
    for choice in reply["choices"]:
        del choice["index"]
    async with policy(**{"/v1/completions": lambda _: reply}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=2))
    assert [step.text for step in samples.steps] == ["a", "b"]


@pytest.mark.parametrize("piece", ['{"text": 7}', '"x"', '{"text": "x", "finish_reason": "tired"}'])
async def test_a_piece_of_a_stream_that_is_none_is_refused(piece):
    response = {"text": f'data: {{"choices": [{piece}]}}\n\n', "content_type": "text/event-stream"}
    async with policy(**{"/v1/completions": lambda _: web.Response(**response)}) as (_, client):
        client.silent = True
        with pytest.raises(ProtocolError, match=client.server.url):
            await client.sample(ask(await client.root(QUESTION), n=1))


def stream(*events: object) -> web.Response:
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return web.Response(text=lines, content_type="text/event-stream")


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (503, TransientServerError),
        (None, TransientServerError),
        (200, TransientServerError),
        ("9" * 5000, TransientServerError),
        (429, TransientServerError),
        (400, RequestError),
    ],
)
async def test_an_error_within_a_stream_is_the_servers_and_hides_the_key(code, raised):
    said = {"error": {"message": "\ud800 bad key sk-0123456789", "code": code}}
    served = {"/v1/completions": lambda _: stream(said)}
    async with policy(how={"api_key": "sk-0123456789"}, **served) as (_, client):
        client.silent = True
        with pytest.raises(raised, match=r"bad key \*\*\*$") as error:
            await client.sample(ask(await client.root(QUESTION), n=1))
    assert "sk-" not in error.value.body


@pytest.mark.parametrize(
    ("text", "count", "says"),
    [
        ("x", 65, "65 tokens where 64 were allowed"),
        ("", 1065, "1065 chunks for 64 tokens"),
    ],
)
async def test_a_stream_without_end_is_refused(text, count, says):
    pieces = [{"choices": [{"text": text}]}] * count
    async with policy(**{"/v1/completions": lambda _: stream(*pieces)}) as (_, client):
        client.silent = True
        with pytest.raises(ProtocolError, match=says):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_a_stream_of_too_much_text_is_refused(monkeypatch):
    monkeypatch.setattr(openai_stream, "MAX_BODY_BYTES", 1000)
    pieces = [{"choices": [{"text": "x" * 501}]}] * 2
    async with policy(**{"/v1/completions": lambda _: stream(*pieces)}) as (_, client):
        client.silent = True
        with pytest.raises(ProtocolError, match="more than 1000 characters"):
            await client.sample(ask(await client.root(QUESTION), n=1))


@pytest.mark.parametrize(
    ("path", "choice"),
    [
        ("/v1/completions", {"text": "a\ud800"}),
        ("/v1/chat/completions", {"message": {"content": "a\ud800"}}),
    ],
)
async def test_an_answer_that_is_no_text_is_refused(path, choice):
    reply = {"choices": [{"finish_reason": "stop", **choice}]}
    async with policy(**{path: lambda _: reply}) as (_, client):
        with pytest.raises(ProtocolError, match="not all JSON"):
            await client.sample(ask(await client.root(QUESTION), n=1, stop=()))


async def test_a_piece_that_is_no_text_is_refused():
    piece = {"choices": [{"text": "a\ud800", "finish_reason": "stop"}]}
    async with policy(**{"/v1/completions": lambda _: stream(piece)}) as (_, client):
        client.silent = True
        with pytest.raises(ProtocolError, match="surrogates not allowed"):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_an_unknown_model_is_told_in_the_servers_words():
    def unknown(_):
        said = {"error": {"message": "The model `typo` does not exist"}}
        return web.json_response(said, status=404)

    async with policy(**{"/v1/completions": unknown}) as (_, client):
        with pytest.raises(RequestError, match="The model `typo` does not exist"):
            await client.sample(ask(await client.root(QUESTION)))
        with pytest.raises(RequestError, match=r"`typo` does not exist.*\(--model names") as raised:
            await client.sample(ask(await client.root(QUESTION), stop=()))
    assert "chat" not in str(raised.value)


async def test_a_certificate_that_is_not_trusted_fails_at_once(tmp_path):
    tls, bundle = own_ca(tmp_path)
    served = {"/v1/models": models(), "/v1/completions": lambda _: choices("x")}
    async with scripted_server(served, tls=tls) as scripted:
        url = scripted.url.replace("127.0.0.1", "localhost")
        async with Session() as session:
            client = await OpenAIPolicy.connect(Server(session, url, 5), "model", IN_LLAMA3)
            with pytest.raises(RequestError, match=r"not trusted.*--ca-bundle"):
                await client.sample(ask(await client.root(QUESTION), n=1))
        async with Session(tls_context(bundle)) as session:
            client = await OpenAIPolicy.connect(Server(session, url, 5), "model", IN_LLAMA3)
            assert (await client.sample(ask(await client.root(QUESTION), n=1))).steps[0].text == "x"


async def test_the_sdk_goes_through_the_tunnel_of_a_proxy(tmp_path):
    tls, bundle = own_ca(tmp_path)
    served = {"/v1/models": models(), "/v1/completions": lambda _: choices("x")}
    async with (
        scripted_server(served, tls=tls) as scripted,
        a_proxy(b"HTTP/1.1 200 Connection established\r\n\r\n") as (proxy, asked),
        Session(tls_context(bundle)) as session,
    ):
        url = scripted.url.replace("127.0.0.1", "localhost")
        client = await OpenAIPolicy.connect(
            Server(session, url, 5, proxy=proxy), "model", IN_LLAMA3
        )
        for _ in range(2):
            await client.sample(ask(await client.root(QUESTION), n=1))
    assert len(asked) == 1
    assert "Proxy-Authorization" not in scripted.headers[0]


async def test_the_sdk_shares_the_connections_and_the_headers_of_all_other_requests():
    how = {"api_key": "sk-0123456789", "session_header": "X-Session-ID"}
    async with policy(how=how, **{"/v1/completions": lambda _: choices("x")}) as (server, client):
        for _ in range(3):
            await client.sample(ask(await client.root(QUESTION), n=1, session="s"))
        assert client.server.session.num_opened == 1
        before, *sampling = server.headers
    for headers in sampling:
        assert headers["x-session-id"] == sampling[0]["x-session-id"]
        for name in ("Host", "Authorization", "Accept-Encoding", "User-Agent"):
            assert headers[name] == before[name]
    assert before["Authorization"] == "Bearer sk-0123456789"


async def test_a_prefix_of_the_servers_path_is_kept():
    served = {"/gateway/a model/v1/completions": lambda _: choices("x")}
    async with scripted_server(served) as scripted, Session() as session:
        server = Server(session, f"{scripted.url}/gateway/a model", 5)
        client = await OpenAIPolicy.connect(server, "model", IN_LLAMA3)
        assert (await client.sample(ask(await client.root(QUESTION), n=1))).steps[0].text == "x"


@pytest.mark.parametrize("silent", [False, True])
async def test_a_redirect_is_not_followed_and_its_location_is_named(silent):
    async def moved(_):
        return web.Response(status=307, headers={"Location": "http://elsewhere.invalid/v1"})

    paths = ("/v1/completions", "/v1/chat/completions")
    async with policy(**dict.fromkeys(paths, moved)) as (server, client):
        client.silent = silent
        for chat_only, stop in ((False, ("\n\n",)), (True, ())):
            client.chat_only = chat_only
            with pytest.raises(RequestError, match=r"answered 307 \(redirected to http://elsewh"):
                await client.sample(ask(await client.root(QUESTION), n=1, stop=stop))
        assert [path for path, _ in server.requests[1:]] == list(paths)


def endless(*texts: str, closed: asyncio.Event):
    """Answer with a stream of these texts that then goes on without an event."""

    async def written():
        try:
            for text in texts:
                event = json.dumps({"choices": [{"text": text}]})
                yield f"data: {event}\n\n".encode()
            await asyncio.Event().wait()
        finally:
            closed.set()

    return lambda _: web.Response(body=written(), content_type="text/event-stream")


async def test_a_stream_that_is_cancelled_is_closed_at_once():
    closed = asyncio.Event()
    async with policy(**{"/v1/completions": endless("so ", closed=closed)}) as (_, client):
        client.silent = True
        sampling = asyncio.create_task(client.sample(ask(await client.root(QUESTION), n=1)))
        await asyncio.wait([sampling], timeout=0.1)
        assert not closed.is_set()
        sampling.cancel()
        await asyncio.wait([sampling])
        assert sampling.cancelled()
        await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize("texts", [(), ("so ",)])
async def test_a_stream_that_falls_silent_is_given_up(texts):
    closed = asyncio.Event()
    served = {"/v1/completions": endless(*texts, closed=closed)}
    async with policy(timeout_s=0.4, **served) as (_, client):
        client.silent = True
        with pytest.raises(TimedOutError, match=r"no sign of one within 0\.2 s"):
            await client.sample(ask(await client.root(QUESTION), n=1))
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_chat_that_was_filtered_is_no_completion():
    message = {"message": {"content": "x"}, "finish_reason": "content_filter"}
    async with policy(**{"/v1/chat/completions": lambda _: {"choices": [message]}}) as (_, client):
        with pytest.raises(ProtocolError, match="ended by content_filter"):
            await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
