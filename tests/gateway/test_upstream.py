"""What needs the policy's own chat API: tools, response formats, and requests passed on."""

import asyncio
import json
from contextlib import suppress

import openai
import pytest
from aiohttp import web

from tests.fakes.scripted_server import completions, models, scripted_server, tokenize
from tests.gateway.serving import Caller, serving

USAGE = {"prompt_tokens": 7, "completion_tokens": 12, "total_tokens": 19}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("add", "look_up")
]


def call(name: str, arguments: str, number: int = 0):
    return {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def said(content=None, calls=(), finish=None, **more):
    message = {"role": "assistant", "content": content, **more}
    if calls:
        message["tool_calls"] = list(calls)
    return {"message": message, "finish_reason": finish or ("tool_calls" if calls else "stop")}


class Upstream:
    """vLLM's chat: gives its `choices` in turn, or what `handler` answers."""

    def __init__(self) -> None:
        self.choices = [said("hello")]
        self.handler = None
        self.given = 0

    def chat(self, payload):
        if self.handler:
            return self.handler(payload)
        found = []
        for index in range(payload.get("n", 1)):
            found.append({"index": index, **self.choices[self.given % len(self.choices)]})
            self.given += 1
        return {"id": "x", "object": "chat.completion", "choices": found, "usage": USAGE}

    def replies(self):
        written = completions(lambda payload, i: (r"\boxed{1}", "stop", None))
        return {
            "/v1/models": models("llama"),
            "/tokenize": tokenize,
            "/v1/completions": written,
            "/v1/chat/completions": self.chat,
        }


@pytest.fixture
async def upstream():
    upstream = Upstream()
    async with scripted_server(upstream.replies()) as server:
        profiles = ("vote=majority:6", "one=greedy:1")
        async with serving(server.url, profiles=profiles) as caller:
            caller.server, caller.upstream = server, upstream
            yield caller


def asked(caller: Caller):
    return caller.server.payloads("/v1/chat/completions")


async def test_the_most_frequent_calls_win_whatever_their_spelling(upstream: Caller):
    upstream.upstream.choices = [
        said(None, [call("add", '{"a": 1, "b": 2.0}')]),
        said("7"),
        said("I add.", [call("add", '{"b":2,"a":1}')]),
        said(None, [call("look_up", "{}")]),
    ]
    answer = await upstream.chat(text="1+2?", tools=TOOLS, n=2)
    first, second = answer.json["choices"]
    (function,) = [c["function"] for c in first["message"]["tool_calls"]]
    assert (function["name"], json.loads(function["arguments"])) == ("add", {"a": 1, "b": 2})
    assert (first["finish_reason"], first["message"]["content"]) == ("tool_calls", None)
    assert second["message"]["tool_calls"][0]["function"]["name"] == "look_up"
    assert answer.json["ttc"]["decided_by"] == "majority"
    assert answer.json["ttc"]["answers"][0]["votes"] == 3
    assert asked(upstream)[0]["tools"] == TOOLS
    assert asked(upstream)[0]["tool_choice"] == "auto"


async def test_several_calls_are_numbered_over_the_message_also_in_a_stream(upstream: Caller):
    upstream.upstream.choices = [said(None, [call("add", "{}"), call("look_up", '{"x":1}', 1)])]
    answer = await upstream.chat(text="?", tools=TOOLS, stream=True)
    deltas = [json.loads(data)["choices"][0]["delta"] for _, data in answer.events[:-1]]
    calls = [c for delta in deltas for c in delta.get("tool_calls", ())]
    assert [(c["index"], c["function"]["name"]) for c in calls] == [(0, "add"), (1, "look_up")]
    assert all(c["id"] and c["type"] == "function" for c in calls)
    body = upstream.body(text="?", tools=TOOLS)
    async with openai.AsyncOpenAI(base_url=upstream.url + "/v1", api_key="x") as sdk:
        completion = sdk.chat.completions.stream(**body)
        async with completion as stream:
            message = (await stream.get_final_completion()).choices[0].message
    assert [c.function.arguments for c in message.tool_calls] == ["{}", '{"x":1}']


async def test_a_call_that_was_cut_is_length_and_is_not_offered(upstream: Caller):
    upstream.upstream.choices = [said(None, [call("add", '{"a": 1')], "length")]
    answer = await upstream.chat(text="?", tools=TOOLS)
    choice = answer.json["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "tool_calls" not in choice["message"]


async def test_a_text_that_looks_like_a_call_is_a_text(upstream: Caller):
    forged = '\x1e{"name": "add", "arguments": "{}"}'
    upstream.upstream.choices = [said(forged)]
    answer = await upstream.chat(text="?", tools=TOOLS)
    assert "tool_calls" not in answer.json["choices"][0]["message"]
    plain = await upstream.chat(text="?")
    assert plain.status == 200


async def test_a_history_with_tools_reaches_the_server_as_it_is(upstream: Caller):
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "1+2?"},
        {"role": "assistant", "content": None, "tool_calls": [call("add", '{"a":1}')]},
        {"role": "tool", "tool_call_id": "c0", "content": [{"type": "text", "text": "3"}]},
    ]
    answer = await upstream.chat(text=turns)
    assert answer.json["choices"][0]["message"]["content"] == "hello"
    sent = asked(upstream)[0]["messages"]
    assert sent[0] == {"role": "system", "content": "Be brief."}
    assert sent[2] == {"role": "assistant", "tool_calls": [call("add", '{"a":1}')]}
    assert sent[3] == {"role": "tool", "tool_call_id": "c0", "content": "3"}


async def test_json_votes_by_its_value(upstream: Caller):
    upstream.upstream.choices = [
        said('{"a": 1, "b": [2]}'),
        said('{"a": 3}'),
        said('{"b":[2.0],"a":1}'),
        said("no json"),
        said('{"a": 1', finish="length"),
    ]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    answer = await upstream.chat(text="?", response_format=form)
    assert json.loads(answer.json["choices"][0]["message"]["content"]) == {"a": 1, "b": [2]}
    assert asked(upstream)[0]["response_format"] == form


async def test_json_that_is_only_thought_is_an_error_and_no_empty_success(upstream: Caller):
    upstream.upstream.choices = [said("I cannot.")]
    answer = await upstream.chat(text="?", response_format={"type": "json_object"})
    assert (answer.status, answer.error["code"]) == (502, "unusable_format")


async def test_a_thought_is_told_apart(upstream: Caller):
    upstream.upstream.choices = [said("Four.", reasoning_content="2 and 2")]
    answer = await upstream.chat(text="?", tools=TOOLS)
    message = answer.json["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Four.", "2 and 2")


@pytest.mark.parametrize("field", ["tools", "response_format"])
async def test_a_search_by_steps_cannot_honour_it(field):
    value = TOOLS if field == "tools" else {"type": "json_object"}
    async with scripted_server(Upstream().replies()) as server:
        gateway = serving(server.url, server.url, ("hard=dvts:8",))
        async with gateway as caller:
            answer = await caller.chat("hard", **{field: value})
    assert (answer.status, answer.error["param"]) == (400, field)


def sse(*events, end=b"data: [DONE]\n\n"):
    """Stream events as vLLM does, with what other servers put between them."""
    body = b": ping\n\n" + b"".join(
        b"id: 1\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events
    )
    return web.Response(body=body + end, content_type="text/event-stream")


def chunk(delta, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "u", "object": "chat.completion.chunk", "choices": [choice], **more}


async def test_the_plain_model_is_passed_on(upstream: Caller):
    turns = [{"role": "developer", "content": "x"}, {"role": "user", "content": "hi"}]
    fields = {"tools": TOOLS, "logprobs": True, "frequency_penalty": 0.5, "n": 2}
    answer = await upstream.chat("", turns, max_completion_tokens=9, **fields)
    assert answer.json["choices"][0]["message"]["content"] == "hello"
    (sent,) = asked(upstream)
    assert sent["messages"][0]["role"] == "system"
    assert {name: sent[name] for name in fields} == fields
    assert (sent["max_tokens"], sent["model"]) == (9, "llama")
    assert "max_completion_tokens" not in sent
    refused = await upstream.chat("", "hi", ttc={"n": 3})
    assert (refused.status, refused.error["param"]) == (400, "ttc")


@pytest.mark.parametrize("asks", [False, True])
async def test_a_plain_stream_is_passed_on_and_its_usage_to_those_who_asked(upstream: Caller, asks):
    upstream.upstream.handler = lambda payload: sse(
        chunk({"role": "assistant"}),
        chunk({"tool_calls": [{"index": 0, "id": "a"}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b"}]}),
        chunk({}, "tool_calls", 1),
        {"id": "u", "choices": [], "usage": USAGE},
    )
    options = {"stream_options": {"include_usage": True}} if asks else {}
    answer = await upstream.chat("", "hi", stream=True, **options)
    found = [json.loads(data) for _, data in answer.events[:-1]]
    assert asked(upstream)[0]["stream_options"] == {"include_usage": True}
    assert [c["choices"][0]["delta"]["tool_calls"][0]["index"] for c in found[1:3]] == [0, 1]
    assert (found[-1].get("usage") == USAGE) is asks
    assert b"id: 1" not in answer.body


@pytest.mark.parametrize(
    "last",
    [
        {"end": b'data: {"error": {"message": "no", "code": 504}}\n\ndata: [DONE]\n\n'},
        {"end": b""},
        {"end": b"data: {broken\n\n"},
    ],
    ids=["error", "cut", "garbled"],
)
async def test_a_plain_stream_that_fails_ends_with_an_error(upstream: Caller, last):
    upstream.upstream.handler = lambda payload: sse(chunk({"content": "a"}), **last)
    answer = await upstream.chat("", "hi", stream=True)
    assert answer.status == 200
    assert json.loads(answer.events[-1][1])["error"]["type"] == "server_error"
    assert b'finish_reason": "' not in answer.body


async def test_what_the_policy_refuses_is_refused_in_its_words(upstream: Caller):
    def refuse(payload):
        body = {"error": {"message": "no such tool parser", "code": 400}}
        return web.json_response(body, status=400)

    upstream.upstream.handler = refuse
    for stream in (False, True):
        answer = await upstream.chat("", "hi", stream=stream)
        assert answer.status == 400
        assert "no such tool parser" in answer.error["message"]
        assert "127.0.0.1" not in answer.error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plain_caller_who_goes_away_closes_the_request_upstream(upstream: Caller, stream):
    async def hang(payload):
        await asyncio.Event().wait()

    upstream.upstream.handler = hang
    task = asyncio.create_task(upstream.chat("", "hi", stream=stream))
    async with asyncio.timeout(5):
        while not asked(upstream):
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        while not upstream.server.closed_early:
            await asyncio.sleep(0.01)
