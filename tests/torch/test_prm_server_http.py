"""The server over real HTTP: protocol, refusals, clients that leave, and a clean stop."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import aiohttp
import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette

from ttc_client.clients import wire
from ttc_client.clients.http import Server
from ttc_client.clients.scores import ScoreProtocol
from ttc_client.clients.session import Session
from ttc_client.errors import ContextLengthError
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem
from ttc_servers.prm.__main__ import load, parse_args
from ttc_servers.prm.app import MAX_BODY_BYTES, create_app
from ttc_servers.prm.engine import Engine

NUM_CLIENTS = 200
STEPS = ["First, 12 + 30 = 42.", "Then 42 + 5 = 47.", "The answer is 47."]


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve an application on the loopback interface."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def loaded(prm_dirs: dict[str, Path]):
    def make(*options: str, api_key: str = "") -> tuple[Engine, Starlette]:
        path = str(prm_dirs["rlhflow"])
        engine, info = load(parse_args(["--model", path, "--gpus", "0", *options]))
        return engine, create_app(engine, info, api_key)

    return make


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def body(problem: str, items: list[list[str]], prefix: list[str] | None = None) -> bytes:
    return msgspec.json.encode(wire.ScoreCall(problem, items, prefix or []))


async def leave(url: str, data: bytes) -> None:
    """Send a request and hang up without reading the answer."""
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def metric(http: aiohttp.ClientSession, url: str, name: str) -> float:
    async with http.get(f"{url}/metrics") as response:
        found = re.search(rf"^{re.escape(name)} (\S+)$", await response.text(), re.MULTILINE)
        return float(found[1]) if found else 0


async def test_200_clients_of_whom_a_third_leave(loaded, http: aiohttp.ClientSession):
    async def search(url: str, client: int) -> list[float]:
        scores = []
        for k, step in enumerate(STEPS):
            data = body(f"Problem {client}?", [[step], ["No."], ["So be it."]], STEPS[:k])
            if client % 3 == 0:
                await leave(url, data)
                continue
            async with http.post(f"{url}/score", data=data) as response:
                assert response.status == 200
                reply = msgspec.json.decode(await response.read(), type=wire.ScoreReply)
                scores.append(reply.scores[0][0])
        return scores

    engine, app = loaded()
    async with serving(app) as url:
        found = await asyncio.gather(*(search(url, client) for client in range(NUM_CLIENTS)))
        leavers = len(range(0, NUM_CLIENTS, 3)) * len(STEPS)
        left = await metric(http, url, 'ttc_prm_requests_total{code="499"}')
        assert left > leavers / 2  # the others were answered before they were seen to leave
        assert engine.num_open == 0
        assert engine.counts.batches < engine.counts.sequences / 4
        assert engine.counts.cached_tokens > 0
    plain, _ = loaded("--cache-gb", "0", "--max-batch-tokens", "1")
    async with plain.running():
        for client in range(1, NUM_CLIENTS, 30):
            expected = await plain.score(wire.ScoreCall(f"Problem {client}?", [STEPS]))
            if client % 3:
                assert found[client] == pytest.approx(expected.scores[0], abs=1e-4)


async def test_the_projects_client_understands_it(loaded):
    _, app = loaded()
    async with serving(app) as url, Session() as session:
        client = ScoreProtocol(Server(session, url, timeout_s=30))
        request = ScoreRequest(
            Problem(question="2 + 2?"), (STEPS[0],), ((STEPS[1], STEPS[2]), ("No.",))
        )
        reply = await client.score(request)
        assert [len(item) for item in reply.scores] == [2, 1]
        assert reply.usage.prm_tokens > 100
        with pytest.raises(ContextLengthError):
            await client.score(ScoreRequest(Problem(question="long " * 2000), (), (("No.",),)))


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"{", 400, "is not a score request"),
        (b'{"problem": "p"}', 400, "missing required field `items`"),
        (b'{"problem": "p", "items": [], "version": 2}', 400, "speaks version 1, not 2"),
        (b'{"problem": "p", "items": [], "more": 2}', 400, "unknown field `more`"),
        (b'{"problem": "\xff", "items": []}', 400, "is not a score request"),
        (b"x" * (MAX_BODY_BYTES + 1), 413, "send fewer items"),
    ],
)
async def test_bad_bodies_are_refused(
    loaded, http: aiohttp.ClientSession, data: bytes, status: int, message: str
):
    _, app = loaded()
    async with serving(app) as url, http.post(f"{url}/score", data=BytesIO(data)) as response:
        assert response.status == status
        assert message in (await response.json())["error"]["message"]


async def test_a_key_is_asked_for(loaded, http: aiohttp.ClientSession):
    _, app = loaded(api_key="secret")
    async with serving(app) as url:
        for headers, status in (({}, 401), ({"Authorization": "Bearer secret"}, 200)):
            data = body("p", [["s"]])
            async with http.post(f"{url}/score", data=data, headers=headers) as response:
                assert response.status == status
            async with http.get(f"{url}/info", headers=headers) as response:
                assert response.status == status
        for path in ("health", "metrics", "openapi.json"):
            async with http.get(f"{url}/{path}") as response:
                assert response.status == 200


async def test_a_full_server_says_when_to_come_back(loaded, http: aiohttp.ClientSession):
    engine, app = loaded("--max-queue", "4")
    async with serving(app) as url, asyncio.TaskGroup() as group:
        running = group.create_task(engine.score(wire.ScoreCall("p" * 500, [["s"]] * 4)))
        while not engine.num_open:
            await asyncio.sleep(0)
        async with http.post(f"{url}/score", data=body("p", [["s"]])) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
        await running
        async with http.post(f"{url}/score", data=body("p", [["s"]])) as response:
            assert response.status == 200


async def test_a_failing_model_is_seen_from_outside(
    loaded, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
):
    engine, app = loaded()

    def fail(*_: object) -> None:
        raise RuntimeError("device lost")

    monkeypatch.setattr(engine.replicas[0], "score", fail)
    async with serving(app) as url:
        async with http.post(f"{url}/score", data=body("p", [["s"]])) as response:
            assert response.status == 500
            assert "device lost" in await response.text()
        async with http.get(f"{url}/health") as response:
            assert response.status == 503


async def test_it_says_what_it_serves(loaded, prm_dirs, http: aiohttp.ClientSession):
    _, app = loaded()
    async with serving(app) as url:
        async with http.get(f"{url}/info") as response:
            assert await response.json() == {
                "model": str(prm_dirs["rlhflow"]),
                "family": "rlhflow",
                "max_tokens": 1024,
                "version": wire.VERSION,
            }
        async with http.get(f"{url}/openapi.json") as response:
            assert await response.json() == json.loads(json.dumps(wire.openapi()))
        async with http.post(f"{url}/score", data=body("p", [["s"], ["t"]])) as response:
            usage = (await response.json())["usage"]
        assert await metric(http, url, 'ttc_prm_requests_total{code="200"}') == 1
        assert await metric(http, url, "ttc_prm_sequences_total") == 2
        assert await metric(http, url, "ttc_prm_prompt_tokens_total") == usage["prompt_tokens"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_finishes_what_is_in_flight(
    prm_dirs, http: aiohttp.ClientSession, unused_tcp_port: int, stop: signal.Signals
):
    command = f"-m ttc_servers.prm --gpus 0 --host 127.0.0.1 --port {unused_tcp_port} --model"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command.split(),
        str(prm_dirs["rlhflow"]),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    try:
        async for line in process.stderr:
            if b"running on" in line:
                break
        url = f"http://127.0.0.1:{unused_tcp_port}"
        items = [[f"{i} " * 200] for i in range(100, 220)]
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(http.post(f"{url}/score", data=body("p", items)))
            while not await metric(http, url, "ttc_prm_open_sequences"):
                assert not answer.done()
            process.send_signal(stop)
        async with answer.result() as response:
            assert response.status == 200
            assert len((await response.json())["scores"]) == len(items)
        _, errors = await asyncio.wait_for(process.communicate(), 10)
        assert (process.returncode, b"Traceback" in errors) == (0, False)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
