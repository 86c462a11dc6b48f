"""The connections of a process: when one is used again, how one is made, and what they need."""

import asyncio
import resource
import socket
import threading
from contextlib import asynccontextmanager, closing, suppress

import pytest
from aiohttp import web

from scripts.torture.soak import num_files
from tests.fakes.scripted_server import own_ca, scripted_server
from ttc_client.clients import opening
from ttc_client.clients.http import Server
from ttc_client.clients.opening import tls_context
from ttc_client.clients.routes import find_route
from ttc_client.clients.session import Session
from ttc_client.errors import RequestError, ServerError, TransientServerError


async def ask(opened: Session, url: str, proxy: str | None = None) -> str:
    return await Server(opened, url, 5, proxy=proxy).get_text("/ask")


@asynccontextmanager
async def a_proxy(answer: bytes):
    """Run a proxy that answers a CONNECT so, and then passes on what comes; note its requests."""
    asked, tasks = [], set()

    async def pass_on(reader, writer):
        with closing(writer), suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer)
        if b" 200 " not in answer:  # the answer that counts is the last
            writer.close()
            return
        host, port = asked[-1].split()[1].split(":")
        there, back = await asyncio.open_connection(host, int(port))
        async with asyncio.TaskGroup() as group:
            group.create_task(pass_on(reader, back))
            group.create_task(pass_on(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield "http://me:secret@{}:{}".format(*server.sockets[0].getsockname()), asked
        await asyncio.wait(tasks, timeout=5)


async def test_a_connection_is_used_again_until_it_has_been_idle_for_long():
    async with scripted_server({"/ask": lambda _: {}}) as server:
        async with Session() as opened:
            for _ in range(3):
                await ask(opened, server.url)
            assert opened.num_opened == 1
        async with Session(keep_alive_s=0) as opened:
            for _ in range(3):
                await ask(opened, server.url)
            assert opened.num_opened == 3


@asynccontextmanager
async def raw_server(*answers: bytes, closes: bool):
    """Run a server that answers the requests of each connection so, and then all alike."""
    num_requests = 0

    async def serve(reader, writer):
        nonlocal num_requests
        turn = 0
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                num_requests += 1
                writer.write(answers[min(turn, len(answers) - 1)])
                turn += 1
                if closes:
                    return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname()), lambda: num_requests


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_server_that_closes_after_each_reply_without_saying_so_is_asked_at_once_again():
    async with raw_server(HELLO, closes=True) as (url, num_requests), Session() as opened:
        assert [await ask(opened, url) for _ in range(50)] == ["{}"] * 50
        assert await asyncio.gather(*(ask(opened, url) for _ in range(50))) == ["{}"] * 50
    assert num_requests() == 100


async def test_what_breaks_on_a_new_connection_or_after_the_first_byte_is_not_sent_again():
    async with raw_server(b"", closes=True) as (url, num_requests), Session() as opened:
        with pytest.raises(TransientServerError, match="broke off"):
            await ask(opened, url)
    assert num_requests() == 1
    cut = HELLO, HELLO[:9] + b"?"
    async with raw_server(*cut, closes=False) as (url, num_requests), Session() as opened:
        await ask(opened, url)
        with pytest.raises(TransientServerError, match="broke off"):
            await ask(opened, url)
        assert opened.num_opened == 1
    assert num_requests() == 2


async def test_no_connection_is_used_twice_once_a_server_has_repeated_a_reply(caplog):
    async with raw_server(HELLO + HELLO, closes=False) as (url, _), Session() as opened:
        assert [await ask(opened, url) for _ in range(5)] == ["{}"] * 5
        assert opened.num_opened == 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "sends replies to other requests" in caplog.text
    late = HELLO, HELLO + HELLO, HELLO
    async with raw_server(*late, closes=False) as (url, _), Session() as opened:
        assert [await ask(opened, url) for _ in range(5)] == ["{}"] * 5
        assert opened.num_opened == 4


async def test_what_is_idle_for_long_is_closed_without_being_asked_for():
    async def answer(_):
        await asyncio.sleep(0.01)
        return {}

    async with scripted_server({"/ask": answer}) as server, Session(keep_alive_s=0.1) as opened:
        before = num_files("/proc/self/fd")
        await asyncio.gather(*(ask(opened, server.url) for _ in range(20)))
        assert num_files("/proc/self/fd") >= before + 20
        async with asyncio.timeout(5):
            while num_files("/proc/self/fd") > before:
                await asyncio.sleep(0.02)


async def test_requests_at_once_have_a_connection_each_and_look_the_host_up_once(monkeypatch):
    looked_up, all_there, look_up = [], asyncio.Event(), socket.getaddrinfo

    def noted(host, port, flags=0, **how):
        looked_up.append((host, flags))
        return look_up(host, port, flags=flags, **how)

    async def answer(_):
        if len(server.requests) == 50:
            all_there.set()
        await all_there.wait()
        return {}

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    async with scripted_server({"/ask": answer}) as server, Session() as opened:
        url = server.url.replace("127.0.0.1", "localhost")
        await asyncio.gather(*(ask(opened, url) for _ in range(50)))
        assert opened.num_opened == 50
        await ask(opened, url)
        assert opened.num_opened == 50
    assert [host for host, flags in looked_up if not flags & socket.AI_NUMERICHOST] == ["localhost"]


async def test_a_streams_connection_is_used_again_if_it_ended_and_else_closed():
    async with scripted_server({"/ask": lambda _: {}}) as server, Session() as opened:
        how = find_route(server.url, None), b"GET /ask HTTP/1.1\r\nHost: x\r\n\r\n", 5, 5
        for _ in range(3):
            async with opened.stream(*how) as reply:
                assert b"".join([piece async for piece in reply]) == b"{}"
        await ask(opened, server.url)
        assert opened.num_opened == 1
        server.replies["/ask"] = lambda _: web.Response(body=b" " * (1 << 24))
        before = num_files("/proc/self/fd")
        async with opened.stream(*how) as reply:
            assert await anext(aiter(reply))
        async with asyncio.timeout(5):
            while num_files("/proc/self/fd") > before - 2:  # both of its ends
                await asyncio.sleep(0.01)


ANNOUNCED = b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"


async def test_tls_passes_through_a_proxy_and_is_verified_behind_it(tmp_path):
    tls, bundle = own_ca(tmp_path)
    async with (
        scripted_server({"/ask": lambda _: {}}, tls=tls) as server,
        a_proxy(ANNOUNCED + b"HTTP/1.1 200 Connection established\r\n\r\n") as (proxy, asked),
    ):
        url = server.url.replace("127.0.0.1", "localhost")
        async with Session(tls_context(bundle)) as opened:
            for _ in range(2):
                assert await ask(opened, url, proxy) == "{}"
            assert opened.num_opened == len(asked) == 1
        async with Session() as opened:
            with pytest.raises(ServerError, match="not trusted"):
                await ask(opened, url, proxy)
    authority = url.removeprefix("https://")
    assert asked[0].startswith(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n")
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in asked[0]
    assert "Proxy-Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", RequestError, "answered 407"),
        (b"HTTP/1.1 502 No\r\n\r\n", TransientServerError, "answered 502"),
        (b"", TransientServerError, "closed the connection"),
        (b"\x00", TransientServerError, "Expected HTTP/"),
        (b"HTTP/1.1 200 \r\n" + b"X: y\r\n" * 20_000, TransientServerError, "bytes of headers"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_named_without_its_password(answer, error, says):
    async with a_proxy(answer) as (proxy, _), Session() as opened:
        named = rf"the proxy 127\.0\.0\.1:\d+ opens no way to https://localhost:1: .*{says}"
        with pytest.raises(error, match=named) as raised:
            await ask(opened, "https://localhost:1", proxy)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://policy.invalid", "https://policy.invalid"])
async def test_a_proxy_that_is_down_is_named_without_its_password(url):
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    async with Session() as opened:
        with pytest.raises(
            TransientServerError, match=rf"the proxy 127\.0\.0\.1:{port} .*"
        ) as raised:
            await ask(opened, url, f"http://me:secret@127.0.0.1:{port}")
    assert "secret" not in str(raised.value)


async def test_a_server_without_tls_where_tls_is_wanted_is_said_to_be_none():
    async with scripted_server({"/ask": lambda _: {}}) as server, Session() as opened:
        with pytest.raises(RequestError, match=r"does not speak TLS .*SSL"):
            await ask(opened, server.url.replace("http:", "https:"))


async def test_what_is_cancelled_while_it_connects_leaves_nothing_behind():
    connected = asyncio.Event()

    async def say_nothing(reader, writer):  # and so never finish the TLS handshake
        connected.set()
        assert await reader.read() != b""
        writer.close()
        connected.clear()

    listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, Session() as opened:
        asking = asyncio.create_task(ask(opened, f"https://127.0.0.1:{port}"))
        await asyncio.wait_for(connected.wait(), 5)
        asking.cancel()
        await asyncio.wait([asking])
        async with asyncio.timeout(5):
            while connected.is_set():
                await asyncio.sleep(0.01)
    assert asking.cancelled()


async def test_more_files_than_usual_may_be_open():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with Session():
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_name_that_takes_long_to_look_up_holds_up_no_other(monkeypatch):
    look_up, release = socket.getaddrinfo, threading.Event()

    def slow(host, port, flags=0, **how):
        if host == "dead.internal" and not flags & socket.AI_NUMERICHOST:
            release.wait(10)
            raise socket.gaierror("no such host")
        return look_up(host, port, flags=flags, **how)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with scripted_server({"/ask": lambda _: {}}) as server, Session() as opened:
        dead = asyncio.create_task(ask(opened, "http://dead.internal"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await ask(opened, server.url.replace("127.0.0.1", "localhost"))
        assert not dead.done()
        release.set()
        with pytest.raises(TransientServerError, match="nothing answers at http://dead"):
            await dead


async def test_a_cancellation_that_the_connecting_loses_is_not_lost(monkeypatch):
    connect = opening.start_connection

    async def swallows(addresses, **how):
        sock = await connect(addresses, **how)
        asyncio.current_task().cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return sock

    monkeypatch.setattr(opening, "start_connection", swallows)
    async with scripted_server({"/ask": lambda _: {}}) as server, Session() as opened:
        before = num_files("/proc/self/fd")
        task = asyncio.create_task(ask(opened, server.url))
        await asyncio.wait([task])
        assert task.cancelled()
        assert opened.num_opened == 0
        async with asyncio.timeout(5):
            while num_files("/proc/self/fd") > before:  # the server's end
                await asyncio.sleep(0.01)
    assert not server.payloads("/ask")
