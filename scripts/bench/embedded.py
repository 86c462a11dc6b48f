"""Measure a policy and a PRM server: tokens per second, prefix cache, scores per second.

Without URLs it starts the embedded servers; with them it measures any vLLM. `--vllm` starts vLLM's
CPU build on the same models beside them: the two take turns under the same load, so that their
ratio holds on a machine that others use too. The load is that of a search: completions with n = 4
and a seed, then continuations and step scores.
"""

import argparse
import asyncio
import functools
import json
import random
import re
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from scripts.bench.vllm_cpu import cpu_servers
from ttc_client.clients.prompts import (
    RLHFLOW_SYSTEM,
    question,
    render_llama3,
    rlhflow_question,
)
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT
from ttc_servers.embedded import embedded_servers

MAX_TOKENS = 64
LOADS = ((1, 8), (16, 16), (64, 64))
"""Sequences in flight, and the number of requests."""

Servers = dict[str, tuple[str, str]]
"""The URLs of a policy and a PRM, by what they are called here."""


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

    async def generation(self, in_flight: int, num_requests: int, seed: int) -> float:
        """Return tokens per second with so many sequences in flight; `seed` is the first's."""
        n = min(4, in_flight)
        slots = asyncio.Semaphore(in_flight // n)
        tokens = 0

        async def one(own_seed: int) -> None:
            nonlocal tokens
            async with slots:
                reply = await self.sample(prompt(own_seed), n, own_seed)
            tokens += reply["usage"]["completion_tokens"]

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for index in range(num_requests):
                group.create_task(one(seed + index))
        return tokens / (time.perf_counter() - start)

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
    return render_llama3(question(problem(seed), META_MATH_SYSTEM_PROMPT))


async def measure(pairs: Servers, rounds: int) -> dict[str, Any]:
    """Return all figures of each pair of servers, whose loads take turns; medians over rounds."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector) as session:
        benches = {name: Bench(session, *urls) for name, urls in pairs.items()}
        figures: dict[str, Any] = {name: {"tokens_per_s": {}} for name in benches}
        for bench in benches.values():
            await bench.generation(4, 2, seed=0)  # warm up
        for in_flight, num_requests in LOADS:
            speeds: dict[str, list[float]] = {name: [] for name in benches}
            for turn in range(rounds):
                for name, bench in benches.items():
                    seed = 1000 * (in_flight + 100 * turn)
                    speeds[name].append(await bench.generation(in_flight, num_requests, seed))
            for name, speed in speeds.items():
                figures[name]["tokens_per_s"][str(in_flight)] = statistics.median(speed)
        for name, bench in benches.items():
            figures[name]["prefix_hit_rate"] = await bench.prefix_hits(8)
            figures[name]["scores_per_s"] = await bench.scores_per_s(64, 200)
    return figures


async def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the named servers or the embedded ones, beside vLLM where it is wanted."""
    async with AsyncExitStack() as stack:
        pairs: Servers = {"named": (args.policy, args.prm)}
        if not args.policy:
            pairs = {"embedded": await stack.enter_async_context(embedded_servers())}
        if args.vllm is not None:
            policy, prm = await stack.enter_async_context(cpu_servers(*args.vllm or (None, None)))
            pairs["vllm"] = (policy.url, prm.url)
        return await measure(pairs, args.rounds)


def show(figures: dict[str, Any]) -> None:
    """Print a line for each figure, a column for each pair of servers, and the first's lead."""
    table = {
        **{f"tokens/s, {n:>2} in flight": ("tokens_per_s", str(n)) for n, _ in LOADS},
        "scores/s, 64 in flight": ("scores_per_s",),
        "prefix hits, per cent": ("prefix_hit_rate",),
    }
    print(f"{'':24}" + "".join(f"{name:>10}" for name in figures))
    for title, path in table.items():
        row = [functools.reduce(lambda at, key: at[key], path, figures[name]) for name in figures]
        if path[0] == "prefix_hit_rate":
            row = [100 * share for share in row]
        print(f"{title:24}" + "".join(f"{value:>10.0f}" for value in row), end="")
        print(f"{row[0] / row[1]:>8.2f} times" if len(row) == 2 else "")


def main() -> None:
    """Parse the command line, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", help="URL of a policy server (default: the embedded one)")
    parser.add_argument("--prm", help="URL of a PRM server")
    parser.add_argument(
        "--vllm",
        nargs="*",
        metavar="URL",
        help="measure vLLM on the same models beside it: the CPU build, or a policy and a PRM",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    if bool(args.policy) != bool(args.prm):
        parser.error("give both --policy and --prm, or neither")
    if args.vllm and len(args.vllm) != 2:
        parser.error("--vllm takes a policy's URL and a PRM's, or none")
    figures = asyncio.run(run(args))
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
