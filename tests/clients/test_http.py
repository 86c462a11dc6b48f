"""One server over HTTP: what goes wrong, and as which error it comes out."""

import asyncio
import gzip
import json
import time
import tracemalloc
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from traceback import format_exception

import msgspec
import pytest
from aiohttp import web

from tests.fakes.scripted_server import own_ca, scripted_server
from ttc_client.clients import connection, decoding, failures, opening
from ttc_client.clients.http import Server
from ttc_client.clients.opening import tls_context
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.session import Session
from ttc_client.errors import (
    ConfigError,
    ContextLengthError,
    GarbledError,
    ProtocolError,
    RequestError,
    TransientServerError,
)


class Answer(msgspec.Struct):
    value: int
    text: str = ""


@asynccontextmanager
async def answering(reply, **how):
    """Open a client of a server that answers POST /ask with `reply`."""
    handler = (lambda _: reply) if not callable(reply) else reply
    async with scripted_server({"/ask": handler}) as server, Session() as opened:
        yield Server(opened, server.url, **{"timeout_s": 5, **how})


@asynccontextmanager
async def sending(raw: bytes, after: bytes = b"\r\n\r\n"):
    """Open a client of a server that sends these bytes and hangs up."""

    async def serve(reader, writer):
        await (reader.readuntil(after) if after else reader.read(1000))
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Session() as opened:
        yield Server(opened, f"http://127.0.0.1:{port}", timeout_s=5)


async def ask(server: Server, **payload):
    return await server.post("/ask", payload, Answer)


def refusal(status: int, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": "because"}}, status=status, headers={**headers})


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_what_may_pass_says_so(status):
    async with answering(lambda _: refusal(status, **{"Retry-After": "7"})) as server:
        with pytest.raises(TransientServerError, match=f"answered {status}: because") as raised:
            await ask(server)
    assert (raised.value.status, raised.value.retry_after_s) == (status, 7.0)
    assert raised.value.cause == str(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 307])
async def test_what_cannot_pass_is_told_in_the_servers_words(status):
    async with answering(lambda _: refusal(status)) as server:
        with pytest.raises(RequestError, match=f"answered {status}: because"):
            await ask(server)


async def test_a_prompt_too_long_for_the_server_has_an_error_of_its_own():
    said = {"error": {"message": "maximum context length is 4096"}}
    async with answering(lambda _: web.json_response(said, status=400)) as server:
        with pytest.raises(ContextLengthError):
            await ask(server)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("Thu, 01 Jan 2099 00:00:00 GMT", 1e9),
        ("7.5", 7.5),
        ("-3", 0),
        ("inf", None),
        ("soon", None),
        ("Thu, 01 Jan 2099 00:00:00 +99999999999999", None),
    ],
)
async def test_retry_after_may_be_a_date(header, wait_s):
    async with answering(lambda _: refusal(503, **{"Retry-After": header})) as server:
        with pytest.raises(TransientServerError) as raised:
            await ask(server)
    if wait_s == 1e9:
        assert raised.value.retry_after_s > wait_s
    else:
        assert raised.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"8;\x00",
        b"[" * 100_000,
        b'{"value": ',
        b"\x00\x01\xfe",
        b"<html>",
        b'{"value": 7, "text": "\xff"}',
    ],
)
async def test_a_body_that_is_not_json_is_garbled(body):
    async with answering(lambda _: web.Response(body=body)) as server:
        with pytest.raises(
            GarbledError, match=f"{len(body)} bytes that are not all JSON"
        ) as raised:
            await ask(server)
    assert raised.value.cause == "garbled"


def packed(body: bytes, encoding: str = "gzip", **how) -> web.Response:
    return web.Response(body=body, headers={"Content-Encoding": encoding}, **how)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
async def test_a_body_may_be_compressed(encoding):
    body = gzip.compress(b'{"value": 7}')
    async with answering(lambda _: packed(body, encoding)) as server:
        assert (await ask(server)).value == 7
        assert b"".join([piece async for piece in server.stream("/ask", b"{}", {})])[-2:] == b"7}"


async def test_a_refusal_may_be_compressed():
    said = gzip.compress(b'{"error": "no room"}')
    async with answering(lambda _: packed(said, status=503)) as server:
        with pytest.raises(TransientServerError, match="answered 503: no room"):
            await ask(server)


async def test_another_encoding_is_refused_in_words():
    async with answering(lambda _: packed(b"{}", "br")) as server:
        with pytest.raises(ProtocolError, match="its encoding is br, which was not asked for"):
            await ask(server)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b'{"value": 7}', gzip.compress(b'{"value": 7}', mtime=0)[:-1]),
        *(gzip.compress(b"{}", mtime=0) * 2, gzip.compress(b"{}", mtime=0) + b"more"),
    ],
)
async def test_damaged_gzip_is_garbled(body):
    async with answering(lambda _: packed(body)) as server:
        with pytest.raises(GarbledError, match="its gzip is damaged"):
            await ask(server)
        with pytest.raises(GarbledError, match="its gzip is damaged"):
            assert [piece async for piece in server.stream("/ask", b"{}", {})]


async def test_a_decompression_bomb_is_bounded(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_BODY_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(1 << 24))
    async with answering(lambda _: packed(bomb)) as server:
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="more than 1048576 bytes once decompressed"):
                await ask(server)
            stream = server.stream("/ask", b"{}", {})
            with pytest.raises(ProtocolError, match="more than 1048576 bytes once decompressed"):
                assert max([len(piece) async for piece in stream])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 5 << 20


async def test_a_stream_is_decompressed_as_it_comes():
    text = b"".join(b"%d " % number for number in range(100_000))
    async with answering(lambda _: packed(gzip.compress(text))) as server:
        pieces = [piece async for piece in server.stream("/ask", b"{}", {})]
    assert b"".join(pieces) == text
    assert max(map(len, pieces)) <= connection.TURN_BYTES


@pytest.mark.parametrize("body", [b"{}", b'{"value": "7"}', b"[]", b"null", b'{"value": 1e999}'])
async def test_json_of_another_shape_is_quoted(body):
    async with answering(lambda _: web.Response(body=body)) as server:
        with pytest.raises(ProtocolError) as raised:
            await ask(server)
    assert not isinstance(raised.value, GarbledError)
    assert repr(body[:20].decode())[:-1] in str(raised.value)
    assert len(str(raised.value)) < 600


async def test_what_a_client_finds_wrong_is_told_with_the_body():
    async with answering({"value": 7}) as server:
        answer = await server.ask("/ask", {}, Answer)
    with (
        pytest.raises(ProtocolError, match=r"7 is odd; it begins '\{\"value\": 7\}'"),
        answer as it,
    ):
        raise Unexpected(f"{it.value} is odd")


async def test_another_error_found_in_an_answer_is_left_as_it_is():
    async with answering({"value": 7}) as server:
        answer = await server.ask("/ask", {}, Answer)
    with pytest.raises(ContextLengthError, match=r"^too long$"), answer:
        raise ContextLengthError("too long", url="")


def test_the_parts_of_an_answer_are_put_in_order_and_must_be_complete():
    class Part(msgspec.Struct):
        index: int

    assert in_order([Part(1), Part(0)], 2) == [Part(0), Part(1)]
    for indices in ([0], [0, 0], [0, 2], [0, 1, 2]):
        with pytest.raises(Unexpected):
            in_order(map(Part, indices), 2)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b'{"value"',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"val',
        b"garbage\r\n\r\n",
    ],
)
async def test_an_exchange_broken_off_may_pass(raw):
    async with sending(raw) as server:
        with pytest.raises(TransientServerError, match="broke off") as raised:
            await ask(server)
    assert raised.value.cause == "connection"


async def test_a_body_without_end_is_refused_before_memory_is_full(monkeypatch):
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 1000)
    async with answering(lambda _: web.Response(body=b" " * 1001)) as server:
        with pytest.raises(ProtocolError, match="more than 1000 bytes"):
            await ask(server)


async def test_a_server_that_is_silent_is_given_up():
    async def never(_):
        await asyncio.Event().wait()

    async with answering(never, timeout_s=0.2) as server:
        started = time.monotonic()
        with pytest.raises(TransientServerError, match="no answer within") as raised:
            await ask(server)
    assert raised.value.cause == "time-out"
    assert time.monotonic() - started < 0.19  # at the first byte's share, not at the whole


async def test_a_server_that_accepts_no_connection_is_given_up(monkeypatch):
    for module in (failures, opening):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.1)
    release = asyncio.Event()

    async def say_nothing(reader, writer):  # and so never finish the TLS handshake
        await release.wait()
        writer.close()

    listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, Session() as opened:
        with pytest.raises(TransientServerError, match=r"no connection within 0\.1 s"):
            await ask(Server(opened, f"https://127.0.0.1:{port}", timeout_s=60))
        release.set()


async def test_a_key_that_the_server_repeats_is_hidden():
    key = "sk-0123456789"
    said = {"error": {"message": f"Incorrect API key: {key}"}}
    replies = iter(
        [
            web.json_response(said, status=401),
            web.Response(body=f"<{key}>".encode()),
            refusal(307, Location=f"/?{key}"),
        ]
    )
    async with answering(lambda _: next(replies), api_key=key) as server:
        for _ in range(3):
            with pytest.raises((RequestError, ProtocolError), match=r"\*\*\*") as raised:
                await ask(server)
            assert key not in str(raised.value) + raised.value.body
        assert key not in repr(server)


async def test_headers_of_ones_own_are_sent_and_their_values_hidden():
    login, team = "Basic dXNlcjpzM2NyZXQ=", "red-team-token"
    said = {"error": f"no {team} by {login} or dXNlcjpzM2NyZXQ="}
    headers = {"Authorization": login, "X-Team": team}
    served = {"/ask": lambda _: web.json_response(said, status=403)}
    async with scripted_server(served) as scripted, Session() as session:
        server = Server(session, scripted.url, 5, api_key="sk-0123456789", headers=headers)
        with pytest.raises(RequestError, match=r"no \*\*\* by \*\*\* or \*\*\*"):
            await ask(server)
        assert team not in repr(server)
    assert scripted.headers[0]["Authorization"] == login
    assert scripted.headers[0]["X-Team"] == team


HINTS = [
    (401, {}, "no", "the server wants an API key: set the API key"),
    (401, {"WWW-Authenticate": "Bearer realm=x"}, "no", "the server wants an API key"),
    (401, {"WWW-Authenticate": 'Basic realm="x"'}, "", "wants Basic .* --header Authorization="),
    (400, {}, "No connected db.", "refuses this API key"),  # LiteLLM, for a key it does not know
    (413, {}, "too large", "client_max_body_size"),
]


@pytest.mark.parametrize(("status", "headers", "said", "hint"), HINTS)
async def test_a_refusal_says_how_to_mend_it(status, headers, said, hint):
    def refuse(_):
        return web.json_response({"error": said}, status=status, headers=headers)

    async with answering(refuse) as server:
        with pytest.raises(RequestError, match=hint):
            await ask(server)


@pytest.mark.parametrize(
    ("status", "hint"), [(424, "answered 424"), (504, "read time-out of a proxy")]
)
async def test_what_may_pass_says_what_it_is_likely_to_be(status, hint):
    async with answering(lambda _: web.Response(status=status)) as server:
        with pytest.raises(TransientServerError, match=hint):
            await ask(server)


@pytest.mark.parametrize("key", ["sk-0123456789", "sk-" + "0123456789" * 200])
async def test_a_key_in_what_is_not_even_http_is_hidden(key):
    async with sending(f"{key}\r\n\r\n".encode()) as server:
        with pytest.raises(TransientServerError, match=r"(?s)broke off.*\*\*\*") as raised:
            await ask(replace(server, api_key=key))
    assert "sk-" not in "".join(format_exception(raised.value))


async def test_a_key_that_json_writes_differently_is_hidden():
    key = "ab/cd/ef"
    said = json.dumps({"error": {"message": f"bad key {key}"}}).replace("/", "\\/")
    refuse = {"text": said, "status": 401, "content_type": "application/json"}
    async with answering(lambda _: web.Response(**refuse), api_key=key) as server:
        with pytest.raises(RequestError, match=r"bad key \*\*\*") as raised:
            await ask(server)
    assert key not in str(raised.value) + raised.value.body


async def test_text_that_is_not_unicode_is_refused_here():
    async with answering({"value": 7}) as server:
        with pytest.raises(RequestError, match="is not a character"):
            await ask(server, problem="\udcff")


async def test_the_session_goes_into_the_header_that_a_router_reads():
    replies = {"/ask": lambda _: {"value": 7}}
    async with scripted_server(replies) as scripted, Session() as opened:
        server = Server(opened, scripted.url, 5, session_header="X-Session-ID")
        for name in ("one", "one", "two"):
            await server.ask("/ask", {}, Answer, session=name)
    ids = [headers["X-Session-ID"] for headers in scripted.headers]
    assert ids[0] == ids[1] != ids[2]
    assert "one" not in ids[0]


async def test_requests_go_through_the_proxy():
    replies = {"/ask": lambda _: {"value": 7}}
    async with scripted_server(replies) as proxy, Session() as opened:
        server = Server(opened, "http://policy.invalid:8000", 5, proxy=proxy.url)
        assert (await ask(server)).value == 7
    assert proxy.headers[0]["Host"] == "policy.invalid:8000"


async def test_a_proxy_that_is_no_url_is_refused_without_its_password():
    async with Session() as opened:
        server = Server(opened, "http://policy.invalid", 5, proxy="user:secret@host:1")
        with pytest.raises(RequestError, match="check HTTP_PROXY") as raised:
            await ask(server)
    assert "secret" not in str(raised.value)


async def test_certificates_are_verified_and_a_ca_of_ones_own_may_be_named(tmp_path):
    tls, bundle = own_ca(tmp_path)
    async with scripted_server({"/ask": lambda _: {"value": 7}}, tls=tls) as scripted:
        url = scripted.url.replace("127.0.0.1", "localhost")
        async with Session() as opened:
            with pytest.raises(RequestError, match=r"not trusted.*--ca-bundle"):
                await ask(Server(opened, url, 5))
        async with Session(tls_context(bundle)) as opened:
            assert (await ask(Server(opened, url, 5))).value == 7
            with pytest.raises(RequestError, match=r"another host .*127\.0\.0\.1.*use a name"):
                await ask(Server(opened, scripted.url, 5))


ALERT = b"\x15\x03\x01\x00\x02\x02"


@pytest.mark.parametrize(
    ("alert", "says"),
    [
        (b"\x46", "speaks no version of TLS that is allowed here"),
        (b"\x28", "the TLS handshake with .* failed: .*HANDSHAKE_FAILURE"),
    ],
)
async def test_a_server_that_finds_no_common_tls_is_named_as_such(alert, says):
    async with sending(ALERT + alert, after=b"") as server:
        with pytest.raises(RequestError, match=says):
            await ask(replace(server, url=server.url.replace("http:", "https:")))


async def test_tls_where_none_is_wanted_is_named_as_such():
    async with sending(ALERT + b"\x0a") as server:
        with pytest.raises(TransientServerError, match="is its URL one with https://"):
            await ask(server)


def test_a_ca_bundle_that_is_none_is_refused(tmp_path):
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "nowhere.pem", Path("a\0b")):
        with pytest.raises(ConfigError, match="must be a file of certificates"):
            tls_context(path)


async def test_an_error_nested_too_deeply_is_an_error_like_others():
    body = b'{"error":' * 100_000
    async with answering(lambda _: web.Response(body=body, status=500)) as server:
        with pytest.raises(TransientServerError, match=r"answered 500: \{"):
            await ask(server)
