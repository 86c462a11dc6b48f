"""Servers that fail on purpose, in a process of their own, for the scripts beside this one.

Each replica is a policy and a PRM that answer by chance, the same request always alike, behind a
proxy that spoils some of the requests. Run by `shaky_servers`, which speaks to it in JSON lines.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.fakes.chance_servers import chance, chance_servers, score
from tests.fakes.fault_proxy import FAULTS, FaultProxy, fault_proxy
from tests.fakes.scripted_server import Handler, ScriptedServer, completions

CALM_S = 10.0
"""How long servers may take to notice that a connection is closed."""


@contextmanager
def own_temporary_files() -> Generator[None]:
    """Put what this process and its children leave in temporary files where it can be counted."""
    with tempfile.TemporaryDirectory() as directory:
        tempfile.tempdir = os.environ["TMPDIR"] = directory
        try:
            yield
        finally:
            tempfile.tempdir = None


@dataclass(frozen=True)
class Shape:
    """How many replicas there are, what they do to requests, and how long an answer takes."""

    replicas: int = 1
    rates: Mapping[str, float] = field(default_factory=lambda: dict(FAULTS))
    delay_s: float = 0.0
    latency_s: float = 0.0


@dataclass(frozen=True)
class Stats:
    """What a replica has seen, and what clients hold of it at this moment."""

    requests: int
    faults: Mapping[str, int]
    delays: int
    in_flight: int
    connections: int


class ShakyServers:
    """The servers as a client sees them, and a line to their process."""

    def __init__(self, process: asyncio.subprocess.Process, urls: list[str]) -> None:
        self.urls = urls
        self._process = process
        self._turn = asyncio.Lock()

    async def stats(self) -> list[Stats]:
        """Return what each replica has seen."""
        return [Stats(**row) for row in await self._ask()]

    async def calm(self) -> dict[str, int]:
        """Return what the replicas still hold of clients, once they had the time to notice."""
        end_s = time.monotonic() + CALM_S
        while True:
            seen = await self.stats()
            left = {
                "requests": sum(one.in_flight for one in seen),
                "connections": sum(one.connections for one in seen),
            }
            if not any(left.values()) or time.monotonic() > end_s:
                return left
            await asyncio.sleep(0.1)

    async def spoil(self, rates: Mapping[str, float]) -> None:
        """Change how often each fault happens, of all POST requests."""
        await self._ask(rates=dict(rates))

    async def kill(self, replica: int) -> None:
        """Close a replica's port and all its connections."""
        await self._ask(kill=replica)

    async def revive(self, replica: int) -> None:
        """Open the port again."""
        await self._ask(revive=replica)

    async def _ask(self, **command: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        async with self._turn:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            await self._process.stdin.drain()
            return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def shaky_servers(shape: Shape) -> AsyncGenerator[ShakyServers]:
    """Run the servers until the block ends."""
    command = (sys.executable, "-m", "tests.fakes.shaky", json.dumps(asdict(shape)))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    try:
        yield ShakyServers(process, json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


def write(payload: dict[str, Any], i: int) -> tuple[str, str, Any]:
    """Go on for a step, or come to one of many answers, of which some need SymPy."""
    luck = chance(payload["seed"] + i)
    if payload.get("stop") and luck.random() < 0.6:
        return f"step {luck.randrange(1000)}\n\n", "stop", "\n\n"
    number = luck.choice([luck.randrange(3), luck.randrange(1000)])
    answer = luck.choice([f"{number}", f"{number}", f"{number}", f"{number}+x", f"x+{number}"])
    return f"so \\boxed{{{answer}}}", "stop", None


def _slow(handler: Handler, latency_s: float) -> Handler:
    async def answer(payload: Any) -> Any:
        await asyncio.sleep(random.uniform(0.5, 1.5) * latency_s)
        return handler(payload)

    return answer if latency_s else handler


async def _serve(shape: Shape) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sampling = _slow(completions(write), shape.latency_s)
    scoring = _slow(score, shape.latency_s)
    async with (
        chance_servers(completions=sampling, score=scoring) as server,
        AsyncExitStack() as stack,
    ):
        proxies = [
            await stack.enter_async_context(
                fault_proxy(server.url, shape.rates, delay_s=shape.delay_s, seed=seed)
            )
            for seed in range(shape.replicas)
        ]
        print(json.dumps([proxy.url for proxy in proxies]), flush=True)
        while line := await reader.readline():
            await _obey(json.loads(line), proxies)
            _forget(server)
            print(json.dumps([_stats(proxy) for proxy in proxies]), flush=True)


async def _obey(command: dict[str, Any], proxies: list[FaultProxy]) -> None:
    match command:
        case {"rates": rates}:
            for proxy in proxies:
                proxy.rates = rates
        case {"kill": replica}:
            await proxies[replica].stop()
        case {"revive": replica}:
            await proxies[replica].start()


def _forget(server: ScriptedServer) -> None:
    server.requests.clear()
    server.headers.clear()


def _stats(proxy: FaultProxy) -> dict[str, Any]:
    seen = Stats(
        proxy.num_requests,
        dict(proxy.faults),
        proxy.num_delays,
        proxy.in_flight,
        proxy.num_connections,
    )
    return asdict(seen)


if __name__ == "__main__":
    asyncio.run(_serve(Shape(**json.loads(sys.argv[1]))))
