"""The scoring server under attack: it stays up, small and answering, key or no key."""

import asyncio
import resource
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import aiohttp
import msgspec
import pytest
import uvicorn

from ttc_client.clients import wire
from ttc_servers.prm import app as app_module
from ttc_servers.prm import guard
from ttc_servers.prm.__main__ import check_access, load, parse_args
from ttc_servers.prm.app import create_app
from ttc_servers.prm.engine import MAX_STEPS


class Serving:
    """A server on a port of the loopback interface."""

    def __init__(self, prm: Path, max_connections: int = 50, api_key: str = "", *options: str):
        engine, info = load(parse_args(["--model", str(prm), "--gpus", "0", *options]))
        config = uvicorn.Config(
            create_app(engine, info, api_key),
            port=0,
            log_level="warning",
            ws="none",
            http=guard.guarded(max_connections),
        )
        self._server = uvicorn.Server(config)
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Serving":
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
        self._server.should_exit = True
        self._server.force_exit = True
        await self._task

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    async def healthy(self) -> bool:
        async with aiohttp.ClientSession() as http, http.get(self.url + "/health") as response:
            return response.status == 200


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


@pytest.mark.parametrize(
    "piece",
    [b"X: " + b"y" * 1000 + b"\r\n", b"X: y\r\n" * 200, b"y" * 1000],
    ids=["headers", "small headers", "one header"],
)
async def test_endless_headers_are_cut_off_before_any_key(prm_dirs, piece):
    async with Serving(prm_dirs["rlhflow"], api_key="secret") as server:
        before = memory_mb()
        reader, writer = await server.connect()
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 50e6 and not reader.at_eof():
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < 20e6
        assert memory_mb() - before < 40
        assert await server.healthy()


async def test_endless_trailers_are_cut_off(prm_dirs):
    async with Serving(prm_dirs["rlhflow"]) as server:
        reader, writer = await server.connect()
        writer.write(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\nx\r\n0\r\n")
        sent = 0
        with suppress(ConnectionError):
            while sent < 50e6 and not reader.at_eof():
                writer.write(b"X: y\r\n" * 200)
                sent += 1200
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < 20e6
        assert await server.healthy()


async def test_requests_that_come_faster_than_answers_are_read_are_given_up(prm_dirs):
    async with Serving(prm_dirs["rlhflow"]) as server:
        before = memory_mb()
        reader, writer = await server.connect()
        sent = 0
        with suppress(ConnectionError):
            while sent < 2e6 and not writer.transport.is_closing():
                writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                sent += 4200
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < 2e6
        assert memory_mb() - before < 40
        assert await server.healthy()
        reader, writer = await server.connect()
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * guard.MAX_PIPELINED)
        for _ in range(guard.MAX_PIPELINED):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"status":"ok"}'))


async def test_slow_connections_do_not_stop_health(prm_dirs):
    async with Serving(prm_dirs["rlhflow"], max_connections=50) as server:
        for i in range(150):
            _, writer = await server.connect()
            writer.write(
                b"GET /health HT" if i % 2 else b"POST /score HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
            )
        for _ in range(3):
            assert await server.healthy()


async def test_a_head_that_never_ends_is_given_up(prm_dirs, monkeypatch):
    monkeypatch.setattr(guard, "HEAD_TIMEOUT_S", 0.2)
    async with Serving(prm_dirs["rlhflow"]) as server:
        reader, writer = await server.connect()
        writer.write(b"GET /health HTTP/1.1\r\n")
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        # One after a whole request, too.
        reader, writer = await server.connect()
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.write(b"GET")
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)


async def test_a_body_that_does_not_come_is_given_up(prm_dirs, monkeypatch):
    monkeypatch.setattr(app_module, "BODY_TIMEOUT_S", 0.2)
    async with Serving(prm_dirs["rlhflow"]) as server:
        reader, writer = await server.connect()
        writer.write(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("call", "status", "says"),
    [
        (wire.ScoreCall("p", [["s"]] * 5000), 413, "send fewer, or start it with a larger"),
        (wire.ScoreCall("p", [["s"] * (MAX_STEPS + 1)]), 413, "steps"),
        (wire.ScoreCall("p", [["s"]], ["s"] * (MAX_STEPS + 1)), 413, "steps"),
        (wire.ScoreCall("x" * 5_000_000, [["s"]]), 400, "maximum context length"),
        (wire.ScoreCall("p", [["x" * 5_000_000]]), 400, "maximum context length"),
    ],
)
async def test_a_call_that_is_too_large_is_refused_by_an_idle_server(prm_dirs, call, status, says):
    async with Serving(prm_dirs["rlhflow"]) as server, aiohttp.ClientSession() as http:
        started_s = time.monotonic()
        data = BytesIO(msgspec.json.encode(call))
        async with http.post(server.url + "/score", data=data) as response:
            assert response.status == status
            assert says in (await response.json())["error"]["message"]
        assert time.monotonic() - started_s < 5


async def test_deep_json_is_refused(prm_dirs):
    async with Serving(prm_dirs["rlhflow"]) as server, aiohttp.ClientSession() as http:
        data = b'{"items":' + b"[" * 100_000
        async with http.post(server.url + "/score", data=data) as response:
            assert response.status == 400


def test_the_default_is_private_and_anything_else_is_warned_of(capsys):
    args = parse_args(["--model", "m"])
    check_access(args.host, args.port, "")
    assert capsys.readouterr().err == ""
    for host in ("0.0.0.0", "::", "gpu1", ""):
        check_access(host, 8001, "secret")
        assert capsys.readouterr().err == ""
        check_access(host, 8001, "")
        assert "TTC_PRM_API_KEY is not set: whoever reaches port 8001" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no HTTP header"):
        check_access("127.0.0.1", 8001, "se\ncret")
