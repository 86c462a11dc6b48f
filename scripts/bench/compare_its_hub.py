"""Compare our beam search with that of its_hub on the same two CPU vLLMs.

Needs an environment with its_hub: `python -m venv DIR && DIR/bin/pip install 'its_hub[lm]'`, then
`--its-hub-python DIR/bin/python`. Its search gets an object that asks our PRM's server; both have
N = 16, M = 4, T = 0.8 and the same system prompt. The searches differ in how much they generate,
so what is compared is time per token, tokens counted at the server. Both prefix caches are
emptied before each search; rounds alternate, and the median ratio counts.
"""

import argparse
import asyncio
import json
import statistics
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from scripts.bench.vllm_cpu import VLLM, add_options, cpu_servers, numbers, parse, run
from ttc_client import Client, SearchParams, Servers
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_servers.demomath import generate

N, M = 16, 4
MAX_TOKENS = 600
PARAMS = SearchParams(strategy="beam", n=N, m=M, max_completion_tokens=MAX_TOKENS)
TARGETS = {1: 1.8, 8: 1.5}
"""For so many problems at once: how many times faster per token we are to be."""

Search = Callable[[], Awaitable[float]]
"""Search all problems; return the seconds."""


def ours(client: Client, problems: Sequence[str], at_once: int) -> Search:
    """Return our search."""

    async def search() -> float:
        room = asyncio.Semaphore(at_once)

        async def one(problem: str) -> None:
            async with room:
                await client.solve(problem, PARAMS)

        start = time.perf_counter()
        await asyncio.gather(*map(one, problems))
        return time.perf_counter() - start

    return search


def theirs(process: Process, job: dict[str, Any]) -> Search:
    """Return the search of its_hub, in its own process."""

    async def search() -> float:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(job).encode() + b"\n")
        line = await process.stdout.readline()
        if not line:
            raise SystemExit("its_hub's search failed")
        return float(line)

    return search


@asynccontextmanager
async def its_hub(python: Path) -> AsyncGenerator[Process]:
    """Start its_hub; its imports are not measured."""
    script = Path(__file__).with_name("its_hub_search.py")
    process = await asyncio.create_subprocess_exec(python, script, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    assert process.stdout
    try:
        if not await process.stdout.readline():
            raise SystemExit(f"{python} has no its_hub: {python} -m pip install 'its_hub[lm]'")
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def rate(search: Search, policy: VLLM, prm: VLLM) -> dict[str, float]:
    """Return the seconds of a search, and the tokens that the policy's server counted."""
    for server in (policy, prm):
        await server.forget()
    before = await policy.counters()
    seconds = await search()
    tokens = (await policy.counters()).since(before).generated
    return {"seconds": seconds, "tokens": tokens, "tokens_per_s": tokens / seconds}


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each number of problems at once, printing each as it comes."""
    problems = [p.problem for p in generate("validation", options.problems, options.seed)]
    rows: list[dict[str, Any]] = []
    async with (
        cpu_servers(options.policy, options.prm) as (policy, prm),
        its_hub(options.its_hub_python) as process,
        Client(Servers(policy=(policy.url,), prm=(prm.url,))) as client,
    ):
        job = {
            "policy": policy.url,
            "prm": prm.url,
            "model": client.models["policy"],
            "labels": [await prm.last_token(text) for text in RLHFLOW_VERDICTS],
            "n": N,
            "m": M,
            "max_steps": PARAMS.max_steps,
            "max_tokens": MAX_TOKENS,
        }
        await ours(client, problems[:1], 1)()  # loads SymPy
        for at_once in options.at_once:
            job |= {"problems": problems, "at_once": at_once}
            searches = {"ours": ours(client, problems, at_once), "its_hub": theirs(process, job)}
            rounds = [
                {name: await rate(search, policy, prm) for name, search in searches.items()}
                for _ in range(options.rounds)
            ]
            rows.append({"at_once": at_once, "ratio": median_ratio(rounds), "rounds": rounds})
            show(rows[-1], header=len(rows) == 1)
    return rows


def median_ratio(rounds: Sequence[dict[str, dict[str, float]]]) -> float:
    """Return how many times faster per token ours was."""
    return statistics.median(
        one["ours"]["tokens_per_s"] / one["its_hub"]["tokens_per_s"] for one in rounds
    )


def show(row: dict[str, Any], *, header: bool) -> None:
    """Print a row of the table."""
    if header:
        print(f"{'at once':>8}{'':10}{'tokens':>8}{'seconds':>9}{'tokens/s':>10}")
    for name in ("ours", "its_hub"):
        for one in row["rounds"]:
            figures = one[name]
            print(f"{row['at_once']:>8} {name:9}{figures['tokens']:>8}", end="")
            print(f"{figures['seconds']:>9.1f}{figures['tokens_per_s']:>10.0f}")
    target = TARGETS.get(row["at_once"])
    wanted = f" (target {target})" if target else ""
    print(f"{row['at_once']:>8} ratio     {row['ratio']:.2f}{wanted}", flush=True)


def main() -> None:
    """Parse the command line, measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--its-hub-python", type=Path, required=True, metavar="PATH")
    parser.add_argument("--at-once", type=numbers, default=[1, 8], help="(default: 1,8)")
    parser.add_argument("--problems", type=int, default=8)
    options = parse(parser)
    if not options.its_hub_python.is_file():
        parser.error(f"--its-hub-python is {options.its_hub_python}: there is no such file")
    run(parser, options, measure(options))


if __name__ == "__main__":
    main()
