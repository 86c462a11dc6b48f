"""From a request's first byte to its end: places, deadlines, failures, callers who go away."""

import asyncio
import json
import logging
from contextlib import suppress

import aiohttp
import openai
import pytest

from tests.gateway.conftest import as_asked
from tests.gateway.serving import Caller, serving
from ttc_client.errors import RequestError, TransientServerError
from ttc_client.gateway import app, server, streams
from ttc_client.gateway.admission import Desk
from ttc_client.gateway.refusals import RefusedError
from ttc_client.search.ports import SampleRequest
from ttc_client.testing import ScriptedPolicy

ONE = r"\boxed{1}"


class Gated(ScriptedPolicy):
    """Answer requests whose question begins with "wait" only once `opened` is set."""

    def __init__(self) -> None:
        super().__init__(as_asked, gate=self._gate, tokens=len)
        self.opened = asyncio.Event()
        self.failure: Exception | None = None

    def _gate(self, request: SampleRequest) -> asyncio.Event | None:
        question = request.messages[-1].content
        if question.startswith("half") and request.seed is not None:
            return None if self.requests.index(request) == 0 else self.opened
        return self.opened if question.startswith(("wait", "fail")) else None

    async def __call__(self, request: SampleRequest):
        samples = await super().__call__(request)
        if request.messages[-1].content.startswith("fail"):
            raise RequestError("boom at http://secret-host", url="http://secret-host", status=400)
        return samples


async def until(condition, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_goes_away_cancels_its_search_within_a_second(stream, tmp_path):
    """With keys, log, limits and metrics in place: that is all the middleware there is."""
    keys = tmp_path / "keys"
    keys.write_text("me 0123456789abcdef searches=9 tokens=999999\n")
    policy = Gated()
    async with serving(policy, keys=keys, origins=("*",)) as caller:
        headers = {"Authorization": "Bearer 0123456789abcdef", "Origin": "http://a"}
        asked = asyncio.create_task(caller.chat(text="wait", stream=stream, headers=headers))
        await until(lambda: policy.in_flight)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        await until(lambda: not policy.in_flight and not caller.gateway.searches.desk.running, 1)
        assert policy.cancelled
        metrics = (await caller.get("/metrics", headers)).body.decode()
    assert 'ttc_searches_total{outcome="cancelled",profile="vote"} 1' in metrics
    assert "ttc_searches_in_flight 0" in metrics


async def test_many_who_vanish_leave_nothing_behind():
    policy = Gated()
    async with serving(policy, max_searches=50, max_queue=500) as caller:
        asked = [asyncio.create_task(caller.chat(text=f"wait{i}")) for i in range(200)]
        await until(lambda: policy.in_flight, 20)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        desk = caller.gateway.searches.desk
        await until(lambda: not (policy.in_flight or desk.running or desk.waiting), 20)
        assert (await caller.chat(text=ONE)).status == 200


async def test_more_than_may_wait_are_told_when_to_ask_again():
    policy = Gated()
    async with serving(policy, max_searches=1, max_queue=1) as caller:
        first = asyncio.create_task(caller.chat(text="wait " + ONE))
        await until(lambda: policy.in_flight)
        second = asyncio.create_task(caller.chat(text=ONE))
        await until(lambda: caller.gateway.searches.desk.waiting)
        for stream in (False, True):
            third = await caller.chat(text=ONE, stream=stream)
            assert (third.status, third.error["code"]) == (429, "rate_limit_exceeded")
            assert int(third.headers["Retry-After"]) >= 1
        policy.opened.set()
        assert [(await task).status for task in (first, second)] == [200, 200]


async def test_a_place_is_not_lost_with_whoever_waits_for_it():
    desk = Desk(most=1, room=5)
    async with desk.place(None):
        waiting = [asyncio.create_task(desk.place(None).__aenter__()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    await asyncio.sleep(0)
    assert waiting[1].done()
    assert desk.running == 1
    waiting[2].cancel()
    desk.closed = True
    with pytest.raises(RefusedError, match="stopping"):
        desk.check(None)


async def test_a_deadline_ends_a_search_with_the_best_so_far():
    async with serving(Gated(), deadline_s=5) as caller:
        headers = {"X-TTC-Deadline-S": "0.3"}
        half = await caller.chat(text="half " + ONE, headers=headers)
        none = await caller.chat(text="wait", headers=headers)
        bad = await caller.chat(text=ONE, headers={"X-TTC-Deadline-S": "soon"})
    told = half.json["ttc"]
    assert (half.status, told["ended_by"], told["answer"]) == (200, "deadline", "1")
    assert "deadline" in told["note"]
    assert (none.status, none.error["code"]) == (504, "deadline")
    assert (bad.status, bad.error["param"]) == (400, "X-TTC-Deadline-S")


async def test_an_error_after_the_first_byte_is_an_event_and_no_success():
    policy = Gated()
    async with serving(policy) as caller:
        asked = asyncio.create_task(caller.chat(text="fail", stream=True))
        await until(lambda: policy.in_flight)
        policy.opened.set()
        answer = await asked
        whole = await caller.chat(text="fail")
    *before, (_, last) = answer.events
    assert answer.status == 200
    assert json.loads(last)["error"]["code"] == "refused_upstream"
    assert "[DONE]" not in answer.body.decode()
    assert all(not json.loads(d)["choices"][0]["finish_reason"] for _, d in before)
    assert whole.error["code"] == "refused_upstream"
    assert b"secret-host" not in whole.body + answer.body


async def test_the_sdk_lives_through_several_keep_alives(monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.05)
    policy = Gated()
    async with (
        serving(policy) as caller,
        openai.AsyncOpenAI(base_url=caller.url + "/v1", api_key="x", max_retries=0) as sdk,
    ):
        for how in ("comment", "chunk"):
            caller.gateway.keep_alive = how
            policy.opened.clear()
            asked = asyncio.create_task(caller.chat(text="wait " + ONE, stream=True))
            stream = await sdk.chat.completions.create(
                **caller.body(text="wait " + ONE), stream=True
            )
            await asyncio.sleep(0.2)
            policy.opened.set()
            chunks = [chunk async for chunk in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks) == "wait " + ONE
            raw = (await asked).body
            assert b"id:" not in raw.replace(b'"id":', b"")
            if how == "comment":
                assert raw.count(b": keep-alive\n") >= 2
                assert b": keep-alive\n\n" not in raw


async def test_progress_comes_as_reasoning():
    policy = Gated()
    async with serving(policy) as caller:
        fields = {"stream": True, "ttc": {"progress": True}}
        asked = asyncio.create_task(caller.chat(text="half " + ONE, **fields))
        await until(lambda: policy.in_flight == 4)
        await asyncio.sleep(1.1)
        policy.opened.set()
        deltas = [json.loads(d)["choices"][0]["delta"] for _, d in (await asked).events[:-1]]
    told = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert "candidates" in told
    assert "".join(delta.get("content", "") for delta in deltas) == "half " + ONE


async def test_servers_that_are_down_are_503_at_once_and_soon_for_searches_that_run(monkeypatch):
    policy = Gated()
    async with serving(policy) as caller:
        health = caller.gateway.searches.health

        async def down() -> None:
            raise TransientServerError("nothing answers at http://secret-host", url="http://x")

        running = asyncio.create_task(caller.chat(text="wait"))
        await until(lambda: policy.in_flight)
        health.ready = down
        monkeypatch.setattr("ttc_client.gateway.health.GONE_AFTER_S", 0.0)
        monkeypatch.setattr("ttc_client.gateway.health._FRESH_S", 0.0)
        for stream in (False, True):
            refused = await caller.chat(text=ONE, stream=stream)
            assert (refused.status, refused.error["code"]) == (503, "upstream_unavailable")
            assert refused.headers["Retry-After"]
        assert (await caller.get("/health")).status == 503
        assert (await running).status == 503
        assert not policy.in_flight


async def test_a_clean_stop_lets_searches_end():
    policy = Gated()
    async with serving(policy) as caller:
        asked = asyncio.create_task(caller.chat(text="wait " + ONE))
        await until(lambda: policy.in_flight)
        asyncio.get_running_loop().call_later(0.1, policy.opened.set)
    # the session closed with the gateway: the search itself came to its end
    with suppress(aiohttp.ClientError):
        await asked
    assert not policy.in_flight


KEY, OTHER = "sk-0123456789abcdef-x", "sk-fedcba9876543210-y"


@pytest.fixture
async def locked(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"# two people\nme {KEY}\nyou {OTHER} searches=1 tokens=40\n")
    policy = Gated()
    async with serving(policy, keys=keys, origins=("https://app.example",)) as caller:
        caller.policy = policy
        yield caller


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_only_keys_open_the_door(locked: Caller):
    for headers in (None, bearer("sk-wrong"), {"Authorization": KEY}, bearer(KEY[:-1])):
        for answer in (
            await locked.chat(text=ONE, headers=headers),
            await locked.get("/v1/models", headers),
        ):
            assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert (await locked.chat(text=ONE, headers=bearer(KEY))).status == 200
    assert (await locked.get("/health")).status == 200
    assert (await locked.get("/metrics")).status == 401


async def test_a_keys_limits_are_its_own(locked: Caller):
    running = asyncio.create_task(locked.chat(text="wait " + ONE, headers=bearer(OTHER)))
    await until(lambda: locked.policy.in_flight)
    assert (await locked.chat(text=ONE, headers=bearer(OTHER))).status == 429
    assert (await locked.chat(text=ONE, headers=bearer(KEY))).status == 200
    locked.policy.opened.set()
    assert (await running).status == 200
    locked.gateway.searches.desk.spend(locked.gateway.keys[1], 40)
    spent = await locked.chat(text=ONE, headers=bearer(OTHER))
    assert (spent.status, 55 <= int(spent.headers["Retry-After"]) <= 60) == (429, True)


async def test_a_key_is_in_no_reply_and_no_log_wherever_it_was_sent(locked: Caller, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("ttc_client.gateway").propagate = True
    logging.getLogger("ttc_client.gateway.access").setLevel(logging.INFO)
    answers = [
        await locked.chat(text=ONE, headers=bearer(KEY), user=KEY),
        await locked.chat(text=ONE, headers=bearer(KEY + "no")),
        await locked.chat(text=ONE, headers={"X-Request-Id": KEY + "!", **bearer(KEY)}),
        await locked.get(f"/v1/models?api_key={KEY}"),
        await locked.get(f"/{KEY}", bearer(KEY)),
        await locked.chat(text=ONE, headers=bearer(KEY), ttc={KEY: 1}),
        await locked.get("/metrics", bearer(KEY)),
    ]
    assert {answer.status for answer in answers} >= {200, 400, 401, 404}
    said = caplog.text + "".join(map(str, caplog.records))
    assert '"status": 200' in said
    assert KEY[3:-2] not in said
    for answer in answers[:4]:
        assert KEY[3:-2] not in answer.body.decode() + str(answer.headers)


async def test_a_key_in_what_is_not_http_is_in_no_log(locked: Caller, caplog):
    caplog.set_level(logging.DEBUG)
    head = f"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\0\r\n\r\n"
    assert (await closed_with(locked, head.encode())).startswith(b"HTTP/1.0 400")
    assert KEY[3:-2] not in caplog.text


async def test_pages_of_named_sites_may_ask(locked: Caller):
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with locked.session.options(locked.url + "/v1/chat/completions", headers=asked) as reply:
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (
            204,
            asked["Origin"],
        )
        assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
    stream = await locked.chat(text=ONE, stream=True, headers={**bearer(KEY), **asked})
    assert stream.headers["Access-Control-Allow-Origin"] == asked["Origin"]
    other = await locked.chat(text=ONE, headers={**bearer(KEY), "Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


async def pieces():
    for _ in range(3 << 6):
        yield b"x" * (1 << 14)


async def test_a_body_up_to_the_limit_is_read_and_a_larger_one_is_413():
    async with serving(Gated(), max_body_bytes=2 << 20) as caller:
        below = await caller.chat(
            text=[
                {"role": "user", "content": "x" * ((2 << 20) - 4096)},
                {"role": "user", "content": ONE},
            ]
        )
        above = await caller.chat(text="x" * (2 << 20))
        chunked = await caller.post("/v1/chat/completions", pieces())
        assert below.status == 200
        assert (above.status, above.error["type"]) == (413, "invalid_request_error")
        assert "2 MB" in above.error["message"]
        assert chunked.status == 413


async def closed_with(caller: Caller, sent: bytes) -> bytes:
    """Return what is answered to some bytes by the time that the connection is closed."""
    host, port = caller.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    async with asyncio.timeout(20):
        said = await reader.read()
    writer.close()
    return said


async def test_a_body_that_does_not_come_is_a_408(monkeypatch):
    monkeypatch.setattr(app, "READ_S", 0.1)
    async with serving(Gated()) as caller:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"
        said = await closed_with(caller, head)
    assert said.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("first", [b"", b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_a_connection_on_which_a_head_never_ends_is_closed_and_one_that_works_is_not(
    monkeypatch, first
):
    monkeypatch.setattr(server, "_IDLE_S", 0.2)
    policy = Gated()
    async with serving(policy) as caller:
        asked = asyncio.create_task(caller.chat(text="wait " + ONE))
        await until(lambda: policy.in_flight)
        said = await closed_with(caller, first + b"POST /v1/chat/completions HTTP/1.1\r\nHost:")
        assert said.startswith(b"HTTP/1.1 200") == bool(first)
        policy.opened.set()
        assert (await asked).status == 200


LENGTH, CHUNKED = "Content-Length: 5", "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "headers",
    [
        (LENGTH, CHUNKED),
        (CHUNKED, LENGTH),
        (LENGTH, "Content-Length: 6"),
        ("Content-Length: +5",),
        ("Content-Length: 5, 5",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked, identity",),
    ],
    ids=["both", "reversed", "two", "sign", "list", "unknown", "space", "not-last"],
)
async def test_a_request_whose_end_is_in_doubt_is_refused_and_its_connection_closed(headers):
    """The rest of such a body must never be read as another request."""
    smuggled = b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(Gated()) as caller:
        host, port = caller.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = ["POST /v1/chat/completions HTTP/1.1", "Host: a", *headers, "", ""]
        writer.write("\r\n".join(head).encode() + smuggled)
        async with asyncio.timeout(20):
            said = await reader.read(1 << 16)
            while more := await reader.read(1 << 16):
                said += more
        writer.close()
    assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b'"object":"list"' not in said
