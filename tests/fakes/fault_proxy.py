"""A proxy that passes requests on to a server, but for those that it spoils."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakSet

import aiohttp
from aiohttp import web

from ttc_client.clients.templates import PROBE

FAULTS = {"503": 0.05, "reset": 0.02, "truncated": 0.01, "garbage": 0.01}
"""How often each happens, of all POST requests."""


@dataclass
class FaultProxy:
    """Pass requests on to `target`; `faults` counts what was done to them instead.

    A reset counts as "replaced" where the connection had carried another request before: the client
    cannot tell it from an idle connection that was closed, and sends the request again on a new one
    without counting a retry.
    `delay_s` is the longest delay; one request in fifty gets one, and `num_delays` counts them.
    `stop` and `start` kill and restart what clients see as the server, at the same port.
    """

    target: str
    rates: Mapping[str, float]
    delay_s: float
    session: aiohttp.ClientSession
    seed: int = 0
    url: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    num_requests: int = 0
    num_delays: int = 0
    in_flight: int = 0
    _runner: web.AppRunner | None = None
    _port: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._used = WeakSet[asyncio.Transport]()

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        self._listener = socket.create_server(("127.0.0.1", self._port))
        await web.SockSite(self._runner, self._listener).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._runner:
            asyncio.get_running_loop().remove_reader(self._listener)
            await asyncio.sleep(0.01)  # asyncio would never close what it is just accepting
            await self._runner.cleanup()
            self._runner = None

    @property
    def num_connections(self) -> int:
        """How many connections clients hold open, busy or idle."""
        server = self._runner and self._runner.server
        return len(server.connections) if server else 0

    def _fault(self) -> str | None:
        luck = self._rng.random()
        for name, rate in self.rates.items():
            if luck < rate:
                return name
            luck -= rate
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self._fault() if request.method == "POST" and not _is_of_opening(body) else None
        if self.delay_s and self._rng.random() < 0.02:
            self.num_delays += 1
            await asyncio.sleep(self._rng.uniform(0, self.delay_s))
        self.num_requests += 1
        was_used = request.transport in self._used
        if request.transport:
            self._used.add(request.transport)
        if fault == "503":
            self.faults[fault] += 1
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        if fault == "reset":
            self.faults["replaced" if was_used else fault] += 1
            return self._hang_up(request)
        async with self.session.request(
            request.method, self.target + request.path, data=body, headers=_kept(request)
        ) as answer:
            reply, status = await answer.read(), answer.status
        if fault == "garbage":
            self.faults[fault] += 1
            return web.Response(body=self._rng.randbytes(len(reply)))
        if fault == "truncated":
            self.faults[fault] += 1
            return await self._cut_short(request, reply)
        return web.Response(body=reply, status=status, content_type="application/json")

    def _hang_up(self, request: web.Request) -> web.StreamResponse:
        if request.transport:
            request.transport.abort()
        return web.Response()

    async def _cut_short(self, request: web.Request, reply: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(reply)
        await response.prepare(request)
        await response.write(reply[: len(reply) // 2])
        return self._hang_up(request)


def _is_of_opening(body: bytes) -> bool:
    """Whether a request asks how prompts look: what fails then is in no search's usage."""
    return b"start_header_id" in body or PROBE[-1].content.encode() in body


def _kept(request: web.Request) -> dict[str, str]:
    return {"Content-Type": request.content_type}


@asynccontextmanager
async def fault_proxy(
    target: str, rates: Mapping[str, float] = FAULTS, *, delay_s: float = 0.0, seed: int = 0
) -> AsyncGenerator[FaultProxy]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        proxy = FaultProxy(target, rates, delay_s, session, seed)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.stop()
