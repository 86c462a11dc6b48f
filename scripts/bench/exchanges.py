"""Measure one HTTP exchange by itself: our own connection beside general clients and the SDK.

`scripts/bench/client.py` runs this. Each way of sending posts the same bytes to a scripted server
in another process, and reads the whole reply, with so many exchanges in flight. The SDK, with its
own transport and with ours, posts a completion of the same size, unparsed.
"""

import asyncio
import gc
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import httpx2
import openai

from tests.fakes.scripted_process import Script, scripted_server
from ttc_client.clients.http import Server
from ttc_client.clients.openai_sdk import open_sdk
from ttc_client.clients.routes import find_route
from ttc_client.clients.session import Session

PATH = "/v1/completions"
TIMEOUT_S = 60.0
_HEADERS = {"Content-Type": "application/json"}
_HEAD = "Accept: */*\r\nContent-Type: application/json\r\n"

Post = Callable[[bytes], Awaitable[object]]
Way = Callable[[str], AbstractAsyncContextManager[Post]]
Measure = Callable[[Awaitable[int]], Awaitable[float]]
"""Await something that returns how many exchanges it made; return CPU seconds of this process."""


@asynccontextmanager
async def own(url: str) -> AsyncGenerator[Post]:
    """Use `Session`, with a head written for each request."""
    async with Session() as session:

        async def post(body: bytes) -> bytes:
            route = find_route(url, None)
            head = f"POST {route.base}{PATH} HTTP/1.1\r\n{route.headers}{_HEAD}"
            request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            return (await session.exchange(route, request, TIMEOUT_S, TIMEOUT_S)).body

        yield post


@asynccontextmanager
async def by_aiohttp(url: str, *, tuned: bool) -> AsyncGenerator[Post]:
    """Use aiohttp, plain, or without cookies, time-outs, decompression and headers of its own."""
    connector = aiohttp.TCPConnector(limit=0)
    tuning = {
        "cookie_jar": aiohttp.DummyCookieJar(),
        "timeout": aiohttp.ClientTimeout(total=None),
        "auto_decompress": False,
        "skip_auto_headers": ("User-Agent", "Accept-Encoding"),
    }
    async with aiohttp.ClientSession(connector=connector, **(tuning if tuned else {})) as session:

        async def post(body: bytes) -> bytes:
            async with session.post(url + PATH, data=body, headers=_HEADERS) as response:
                return await response.read()

        yield post


@asynccontextmanager
async def by_httpx2(url: str) -> AsyncGenerator[Post]:
    """Use httpx2 without limits."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=TIMEOUT_S, trust_env=False) as client:

        async def post(body: bytes) -> bytes:
            return (await client.post(url + PATH, content=body, headers=_HEADERS)).content

        yield post


@asynccontextmanager
async def by_sdk(url: str, *, over_ours: bool) -> AsyncGenerator[Post]:
    """Use the SDK over our connections, or over aiohttp, as it was before."""
    async with Session() as session:
        if over_ours:
            sdk = open_sdk(Server(session, url, TIMEOUT_S))
        else:
            limits = httpx2.Limits(max_connections=0)
            http_client = openai.DefaultAioHttpClient(limits=limits, trust_env=False)
            sdk = openai.AsyncOpenAI(
                base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=http_client
            )

        async def post(body: bytes) -> bytes:
            reply = await sdk.post("/completions", cast_to=httpx2.Response, body=json.loads(body))
            return reply.content

        async with sdk:
            yield post


FAST: dict[str, Way] = {
    "own connection": own,
    "aiohttp, tuned": lambda url: by_aiohttp(url, tuned=True),
    "aiohttp": lambda url: by_aiohttp(url, tuned=False),
}
SLOW: dict[str, Way] = {
    "httpx2": by_httpx2,
    "SDK over ours": lambda url: by_sdk(url, over_ours=True),
    "SDK over aiohttp": lambda url: by_sdk(url, over_ours=False),
}
"""Measured with an eighth of the exchanges, and not with a thousand in flight."""
SLOW_MOST = 256


def request_body() -> bytes:
    """Return a request of about 2 kB, whose reply has about 4 kB."""
    luck = random.Random(0)
    prompt = [luck.randrange(1000, 60_000) for _ in range(330)]
    call = {"model": "scripted", "prompt": prompt, "max_tokens": 200, "n": 1, "stop": ["\n\n"]}
    return json.dumps({**call, "seed": 7}, separators=(",", ":")).encode()


async def _post_all(post: Post, body: bytes, count: int, in_flight: int) -> int:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await post(body)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return count


def connection_alone(
    measure: Measure, exchanges: int, repeats: int, levels: Sequence[int]
) -> list[dict[str, float | str]]:
    """Return a row for each way: milliseconds of CPU an exchange, by the number in flight.

    The ways take turns, `repeats` times, and the least of each counts.
    """
    body = request_body()
    best: dict[tuple[str, int], float] = {}

    async def once(url: str, name: str, in_flight: int) -> None:
        count = max(exchanges // (8 if name in SLOW else 1), 2 * in_flight)
        async with (FAST | SLOW)[name](url) as post:
            await _post_all(post, body, 2 * in_flight, in_flight)  # opens the connections
            gc.collect()
            cpu_s = await measure(_post_all(post, body, count, in_flight))
        best[name, in_flight] = min(best.get((name, in_flight), 1e9), 1000 * cpu_s / count)

    with scripted_server(Script(step_tokens=140)) as url:
        for in_flight in levels:
            for _ in range(repeats):
                for name in FAST | (SLOW if in_flight <= SLOW_MOST else {}):
                    asyncio.run(once(url, name, in_flight))
    return [
        {"way": name} | {str(n): best[name, n] for n in levels if (name, n) in best}
        for name in FAST | SLOW
    ]
