"""Ask a gateway for an hour, 256 clients at once beside 1,000 idle connections.

    python -m scripts.torture.gateway_soak --minutes 60

Clients ask by three profiles, streamed and not; one in ten goes away in the middle. Each of the
others must get a whole answer. The gateway is a process of its own, whose memory, descriptors,
tasks and threads are sampled; exits with 1 if one of them grows after the first quarter, if
something is left at the end, or if an answer is lost.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp

from scripts.torture.soak import Sample, growth, sample, shown
from tests.fakes.shaky import Shape, own_temporary_files, shaky_servers
from tests.gateway.serving import Caller, events, serving

PROFILES = ("fast=best-of-n:4", "hard=dvts:8,task=math", "vote=majority:8,stop-at=0.9")
NAMES = ("fast", "hard", "vote")
VANISH = 0.1
IDLE_CHECK_S = 5.0
SETTLED_S = 90.0
"""How long connections that are kept for the next request may stay after the last one."""
MAY_GROW = {"rss_mb": 8.0, "descriptors": 20.0, "tasks": 20.0, "threads": 1.0}
"""From the end of the warm-up to the end of the soak, by the line through the samples."""


class SoakedGateway:
    """The gateway as its callers see it, and a line to its process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, model: str) -> None:
        self.url, self.model = url, model
        self._process = process

    async def sample(self) -> tuple[Sample, int]:
        """Return what the process holds, and how many searches run or wait."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()
        held, searches = json.loads(await self._process.stdout.readline())
        return Sample(**held), searches


@asynccontextmanager
async def soaked_gateway(policy: str) -> AsyncGenerator[SoakedGateway]:
    """Run a gateway in a process of its own until the block ends."""
    command = (sys.executable, "-m", "scripts.torture.gateway_soak", "--serve", policy)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    try:
        yield SoakedGateway(process, *json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


async def serve(policy: str) -> None:
    """Serve, and print a sample of this process for each line of stdin."""
    reader = asyncio.StreamReader()
    loop, start_s = asyncio.get_running_loop(), time.monotonic()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with serving(policy, policy, PROFILES, prm_api="score", max_queue=1024) as caller:
        print(json.dumps([caller.url, caller.model]), flush=True)
        desk = caller.gateway.searches.desk
        while await reader.readline():
            held = asdict(sample(start_s)), desk.running + desk.waiting
            print(json.dumps(held), flush=True)


@dataclass(frozen=True)
class Load:
    """How many ask at once, how many connections do nothing, and how long an answer takes."""

    clients: int = 256
    idle: int = 1000
    latency_s: float = 1.5


def lack(status: int, body: bytes, is_stream: bool) -> str:
    """Return what an answer lacks, "" if it is whole."""
    if status != 200:
        return f"status {status}: {body[:200]!r}"
    if is_stream:
        *chunks, (_, last) = events(body.decode().replace(": keep-alive\n", ""))
        ends = [json.loads(data)["choices"][0]["finish_reason"] for _, data in chunks]
        return "" if last == "[DONE]" and ends[-1] == "stop" else f"a stream that ends {last}"
    return "" if json.loads(body)["choices"][0]["message"]["content"] else "no content"


async def ask(caller: Caller, number: int, counts: Counter[str]) -> None:
    """Ask once; every tenth caller goes away within two seconds."""
    luck = random.Random(number)
    is_stream = luck.random() < 0.5
    body = caller.body(luck.choice(NAMES), f"What is {number}?", stream=is_stream, seed=number)
    asked = asyncio.create_task(caller.post("/v1/chat/completions", body))
    if luck.random() < VANISH:
        await asyncio.wait([asked], timeout=luck.uniform(0, 2))
        asked.cancel()
    try:
        answer = await asked
    except asyncio.CancelledError:
        if not asked.cancelled():
            raise
        counts["vanished"] += 1
        return
    except aiohttp.ClientError as error:
        found = f"{type(error).__name__}: {error}"
    else:
        found = lack(answer.status, answer.body, is_stream)
    counts["lost" if found else "answered"] += 1
    if found:
        print(f"lost {number}: {found}", file=sys.stderr)


async def idle(url: str, most: int, counts: Counter[str]) -> None:
    """Keep connections open that do nothing; every other one has asked something before."""
    host, port = url.removeprefix("http://").split(":")
    held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        while True:
            for pair in [pair for pair in held if pair[0].at_eof()]:
                held.remove(pair)
                pair[1].close()
            while len(held) < most:
                reader, writer = await asyncio.open_connection(host, int(port))
                if counts["idle connections"] % 2:
                    writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                    await reader.readuntil(b"}")
                counts["idle connections"] += 1
                held.append((reader, writer))
            await asyncio.sleep(IDLE_CHECK_S)
    finally:
        for _, writer in held:
            writer.close()


async def soak(minutes: float, load: Load) -> dict[str, Any]:
    """Return what was asked, the samples, what grew and what was left behind."""
    samples, counts = list[Sample](), Counter[str]()
    seconds = 60 * minutes
    async with AsyncExitStack() as stack:
        stack.enter_context(own_temporary_files())
        shape = Shape(rates={}, latency_s=load.latency_s)
        servers = await stack.enter_async_context(shaky_servers(shape))
        gateway = await stack.enter_async_context(soaked_gateway(servers.urls[0]))
        before, _ = await gateway.sample()
        end_s = time.monotonic() + seconds

        async def work(caller: Caller) -> None:
            while time.monotonic() < end_s:
                counts["asked"] += 1
                await ask(caller, counts["asked"], counts)

        async def watch() -> None:
            while True:
                await asyncio.sleep(min(10.0, seconds / 100))
                samples.append((await gateway.sample())[0])
                await servers.stats()  # which forgets what was asked

        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            caller = Caller(gateway.url, None, session, gateway.model)  # pyright: ignore
            others = [
                asyncio.create_task(idle(gateway.url, load.idle, counts)),
                asyncio.create_task(watch()),
            ]
            await asyncio.gather(*(work(caller) for _ in range(load.clients)))
            for other in others:
                other.cancel()
            await asyncio.wait(others)
        for other in others:
            with suppress(asyncio.CancelledError):
                other.result()
        after, searches = await _settled(gateway, before)
        at_servers = await servers.stats()
    grown = {name: growth(samples, name) for name in MAY_GROW}
    left = {
        "descriptors": max(0, after.descriptors - before.descriptors),
        "tasks": max(0, after.tasks - before.tasks),
        "searches": searches,
        "server requests": sum(one.in_flight for one in at_servers),
    }
    flat = all(grown[name] <= most for name, most in MAY_GROW.items())
    return {
        "minutes": minutes,
        "counts": dict(counts),
        "means": {name: fmean(getattr(one, name) for one in samples) for name in MAY_GROW},
        "grown": grown,
        "left": left,
        "sound": flat and not counts["lost"] and not any(left.values()),
        "samples": [asdict(one) for one in samples],
    }


async def _settled(gateway: SoakedGateway, before: Sample) -> tuple[Sample, int]:
    """Return what the gateway holds once nobody asks any more, and has had the time to notice."""
    end_s = time.monotonic() + SETTLED_S
    while True:
        held, searches = await gateway.sample()
        is_calm = held.descriptors <= before.descriptors and held.tasks <= before.tasks
        if (is_calm and not searches) or time.monotonic() > end_s:
            return held, searches
        await asyncio.sleep(0.2)


def main() -> int:
    """Parse the command line, soak, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--idle", type=int, default=1000, help="connections that do nothing")
    parser.add_argument("--latency", type=float, default=1.5, help="mean seconds per answer")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.serve))
        return 0
    found = asyncio.run(soak(args.minutes, Load(args.clients, args.idle, args.latency)))
    print(f"{found['minutes']:g} minutes: {found['counts']}")
    return not shown(found, "sound", args.json)


if __name__ == "__main__":
    sys.exit(main())
