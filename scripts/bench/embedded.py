"""Measure a policy and a PRM server: tokens per second, prefix cache, scores per second.

Without URLs it starts the embedded servers; with them it measures any vLLM, to compare. The load
is that of a search: completions with n = 4 and a seed, then continuations and step scores.
"""

import argparse
import asyncio
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import aiohttp

from ttc_client.prompts import (
    META_MATH_SYSTEM_PROMPT,
    RLHFLOW_SYSTEM,
    llama3_prompt,
    rlhflow_question,
)
from ttc_servers.embedded import embedded_servers

MAX_TOKENS = 64


class Bench:
    """One client with both servers' URLs."""

    def __init__(self, session: aiohttp.ClientSession, policy: str, prm: str) -> None:
        self.session, self.policy, self.prm = session, policy, prm

    async def post(self, url: str, body: dict[str, Any]) -> Any:
        """Return the JSON reply; raise for anything but 200."""
        async with self.session.post(url, json=body, raise_for_status=True) as response:
            return await response.json()

    async def counter(self, name: str) -> float:
        """Return one of the policy server's counters."""
        async with self.session.get(self.policy + "/metrics") as response:
            values = re.findall(rf"^vllm:{name}{{.*}} (.+)$", await response.text(), re.M)
        return sum(map(float, values))

    async def sample(self, prompt: str | list[int], n: int, seed: int) -> Any:
        """Sample `n` children of exactly MAX_TOKENS tokens."""
        body = {
            "prompt": prompt,
            "n": n,
            "max_tokens": MAX_TOKENS,
            "seed": seed,
            "temperature": 0.8,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop": ["\n\n\n\n"],
            "return_token_ids": True,
            "ignore_eos": True,
        }
        return await self.post(self.policy + "/v1/completions", body)

    async def generation(self, in_flight: int, num_requests: int) -> dict[str, float]:
        """Return tokens per second with so many sequences in flight."""
        n = min(4, in_flight)
        slots = asyncio.Semaphore(in_flight // n)
        tokens = 0

        async def one(seed: int) -> None:
            nonlocal tokens
            async with slots:
                reply = await self.sample(prompt(seed), n, seed)
            tokens += reply["usage"]["completion_tokens"]

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for seed in range(num_requests):
                group.create_task(one(1000 * in_flight + seed))
        seconds = time.perf_counter() - start
        return {"tokens": tokens, "seconds": seconds, "tokens_per_s": tokens / seconds}

    async def prefix_hits(self, depth: int) -> float:
        """Return the share of prompt tokens found in the cache while continuing by steps."""
        names = ("prefix_cache_hits_total", "prefix_cache_queries_total")
        before = [await self.counter(name) for name in names]
        for beam in range(4):
            tokens: str | list[int] = prompt(beam)
            for step in range(depth):
                choice = (await self.sample(tokens, 4, 100 * beam + step))["choices"][0]
                tokens = choice["prompt_token_ids"] + choice["token_ids"]
        hits, queries = [await self.counter(n) - b for n, b in zip(names, before, strict=True)]
        return hits / queries

    async def scores_per_s(self, in_flight: int, num_requests: int) -> float:
        """Return step scores per second, four siblings to a request."""
        labels = [
            (await self.post(self.prm + "/tokenize", {"prompt": x, "add_special_tokens": False}))[
                "tokens"
            ][-1]
            for x in "+-"
        ]
        slots = asyncio.Semaphore(in_flight // 4)

        async def one(seed: int) -> None:
            items = [
                rlhflow_question(problem(seed), 0, f"## Step 1: Multiply\n$3 \\cdot {i} = {3 * i}$")
                for i in range(4)
            ]
            body = {"query": RLHFLOW_SYSTEM, "items": items, "label_token_ids": labels}
            async with slots:
                await self.post(self.prm + "/generative_scoring", body)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for seed in range(num_requests):
                group.create_task(one(seed))
        return 4 * num_requests / (time.perf_counter() - start)


def problem(seed: int) -> str:
    """Return a problem of its own for each seed."""
    a, b, c = random.Random(seed).sample(range(10, 99), 3)
    return f"What is ${a} \\cdot {b} + {c}$?"


def prompt(seed: int) -> str:
    """Return the search's prompt for the problem of a seed."""
    return llama3_prompt(problem(seed), META_MATH_SYSTEM_PROMPT)


async def measure(policy: str, prm: str) -> dict[str, Any]:
    """Return all figures for one pair of servers."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        bench = Bench(session, policy, prm)
        await bench.generation(4, 2)  # warm up
        return {
            "generation": {
                str(in_flight): await bench.generation(in_flight, num_requests)
                for in_flight, num_requests in ((1, 8), (16, 16), (64, 64))
            },
            "prefix_hit_rate": await bench.prefix_hits(8),
            "scores_per_s": await bench.scores_per_s(64, 200),
        }


async def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the named servers, or the embedded ones."""
    if args.policy:
        return await measure(args.policy, args.prm)
    async with embedded_servers() as (policy, prm):
        return await measure(policy, prm)


def main() -> None:
    """Parse the command line, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", help="URL of a policy server (default: the embedded one)")
    parser.add_argument("--prm", help="URL of a PRM server")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    if bool(args.policy) != bool(args.prm):
        parser.error("give both --policy and --prm, or neither")
    figures = asyncio.run(run(args))
    for in_flight, row in figures["generation"].items():
        print(f"tokens/s, {in_flight:>2} in flight  {row['tokens_per_s']:8.0f}")
    print(f"prefix hit rate         {figures['prefix_hit_rate']:8.1%}")
    print(f"scores/s, 64 in flight  {figures['scores_per_s']:8.0f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
