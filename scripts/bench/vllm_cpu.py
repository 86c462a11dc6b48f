"""The demo models behind vLLM's CPU build, for the benchmarks: started, read and made to forget."""

import argparse
import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from ttc_client.errors import TTCError

LAUNCH = Path(__file__).parents[1] / "launch_cpu"
MODELS = Path(__file__).parents[2] / "servers" / "ttc_servers" / "models"
_COUNTERS = {
    "generated": "generation_tokens_total",
    "prompt": "prefix_cache_queries_total",
    "cached": "prefix_cache_hits_total",
    "sequences": "request_success_total",
}


class Counters(NamedTuple):
    """What a vLLM has done: tokens generated, tokens of prompts, those found cached, sequences."""

    generated: int
    prompt: int
    cached: int
    sequences: int

    def since(self, before: "Counters") -> "Counters":
        """Return the difference."""
        return Counters(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True, slots=True)
class VLLM:
    """One vLLM at its URL."""

    session: aiohttp.ClientSession = field(repr=False)
    url: str

    async def post(self, path: str, body: bytes | Mapping[str, Any]) -> bytes:
        """Return the body of the answer; raises for anything but 200."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        async with self.session.post(
            self.url + path, data=data, headers=headers, raise_for_status=True
        ) as response:
            return await response.read()

    async def last_token(self, text: str) -> int:
        """Return the last token of a text."""
        reply = await self.post("/tokenize", {"prompt": text, "add_special_tokens": False})
        return msgspec.json.decode(reply)["tokens"][-1]

    async def metrics(self) -> str:
        """Return all metrics as text."""
        async with self.session.get(self.url + "/metrics", raise_for_status=True) as response:
            return await response.text()

    async def counters(self) -> Counters:
        """Read the counters."""
        text = await self.metrics()
        return Counters(
            **{
                name: int(sum(map(float, re.findall(rf"^vllm:{metric}{{.*}} (.+)$", text, re.M))))
                for name, metric in _COUNTERS.items()
            }
        )

    async def block_size(self) -> int:
        """Return how many tokens a block of the prefix cache holds."""
        found = re.search(r'vllm:cache_config_info{.*\bblock_size="(\d+)"', await self.metrics())
        if not found:
            raise SystemExit(f"{self.url} does not tell the size of its cache's blocks")
        return int(found[1])

    async def forget(self) -> None:
        """Empty the prefix cache."""
        path = "/reset_prefix_cache"
        async with self.session.post(self.url + path) as response:
            if response.status != 200:
                raise SystemExit(
                    f"{self.url}{path} answered {response.status}: start the server with "
                    "VLLM_SERVER_DEV_MODE=1"
                )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the benchmarks of searches share."""
    add = parser.add_argument
    add("--policy", metavar="URL", help="a vLLM with the demo policy (default: start one)")
    add("--prm", metavar="URL", help="a vLLM with the demo PRM")
    add("--rounds", type=int, default=3, help="how often to measure either side (default: 3)")
    add("--seed", type=int, default=0, help="of the problems")
    add("--json", type=Path, metavar="FILE", help="write the figures there")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line, and check the options above."""
    options = parser.parse_args()
    if bool(options.policy) != bool(options.prm):
        parser.error("give both --policy and --prm, or neither")
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}: it must be 1 or more")
    return options


def run(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    measuring: Coroutine[Any, Any, list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Measure, write the figures where they are wanted, and return them."""
    try:
        rows = asyncio.run(measuring)
    except (TTCError, aiohttp.ClientError) as error:
        parser.error(str(error))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return rows


def numbers(text: str) -> list[int]:
    """Read numbers that are separated by commas."""
    return [int(number) for number in text.split(",")]


@asynccontextmanager
async def cpu_servers(policy: str | None, prm: str | None) -> AsyncGenerator[tuple[VLLM, VLLM]]:
    """Give a policy and a PRM server: those named, or both started by `launch_cpu`."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector) as session:
        if policy and prm:
            yield VLLM(session, policy), VLLM(session, prm)
            return
        launch = await asyncio.create_subprocess_exec(
            LAUNCH, stdout=PIPE, env={**os.environ, "VLLM_SERVER_DEV_MODE": "1"}
        )
        try:
            assert launch.stdout
            urls = [(await launch.stdout.readline()).decode().strip() for _ in range(2)]
            if not all(urls):
                raise SystemExit("scripts/launch_cpu did not start the servers")
            policy, prm = urls
            yield VLLM(session, policy), VLLM(session, prm)
        finally:
            if launch.returncode is None:
                launch.terminate()
            await launch.wait()
