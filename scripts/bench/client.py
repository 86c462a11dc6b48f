"""Measure what the client costs: CPU per request, throughput, and how both grow.

`python scripts/bench/client.py` runs DVTS at N = 64 over many problems against a scripted server
that answers at once, in a process of its own, and then replays the very bytes that the client
sent in a bare aiohttp loop: `session.post` and a read of the body, as many at once. A *request*
is one HTTP exchange. A *scored step* is one expansion, a policy request for M = 4 steps and the
PRM request that scores them: two requests. CPU is this process's own, user and system, for all
that a search does: sampling, scoring, ranking, extracting, voting.

Growth is measured with all else alike: about as many requests in all, N / M in flight.

The connection alone is measured in `scripts/bench/exchanges.py`, beside aiohttp and httpx2.
"""

import argparse
import asyncio
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from scripts.bench.exchanges import connection_alone
from tests.fakes.scripted_process import Script, print_table, scripted_server, write_json
from ttc_client import Client, SearchParams, Servers, Usage
from ttc_client.cli import GC_THRESHOLD

M = 4
IN_FLIGHT = (64, 256, 1024)
PARTS = ("connection", "cost", "growth")


@dataclass(frozen=True, slots=True)
class Load:
    """Searches to run: `chains` requests in flight, each a subtree or a worker of the bare loop."""

    problems: int
    n: int
    chains: int
    max_steps: int = 40

    @property
    def params(self) -> SearchParams:
        """How to search."""
        return SearchParams(
            strategy="dvts",
            n=self.n,
            m=M,
            max_steps=self.max_steps,
            max_completion_tokens=1 << 20,
        )

    def servers(self, url: str) -> Servers:
        """Return with what to search."""
        return Servers(policy=(url,), prm=(url,), concurrency=M * self.chains, check=False)

    @property
    def open_problems(self) -> int:
        """How many problems are searched at once."""
        return max(1, self.chains * M // self.n)


@dataclass(frozen=True, slots=True)
class Cost:
    """What some requests cost this process."""

    requests: int
    cpu_s: float
    wall_s: float

    @property
    def request_ms(self) -> float:
        """Milliseconds of CPU for one HTTP exchange."""
        return 1000 * self.cpu_s / self.requests

    @property
    def per_core(self) -> float:
        """Requests that one second of CPU is enough for."""
        return self.requests / self.cpu_s


async def measured(work: Awaitable[int]) -> Cost:
    """Await something that returns how many requests it made."""
    cpu_s, wall_s = _cpu_s(), time.perf_counter()
    requests = await work
    return Cost(requests, _cpu_s() - cpu_s, time.perf_counter() - wall_s)


async def _cpu(work: Awaitable[int]) -> float:
    return (await measured(work)).cpu_s


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def search(url: str, load: Load) -> Cost:
    """Search all problems of a load."""
    names = iter(f"What is ${number} + {number}$?" for number in range(load.problems))
    async with Client(load.servers(url)) as client:
        return await measured(_search_all(client, names, load))


async def _search_all(client: Client, problems: Iterator[str], load: Load) -> int:
    spent = Usage()

    async def work() -> None:
        nonlocal spent
        for problem in problems:
            result = await client.solve(problem, load.params)
            spent += result.usage

    async with asyncio.TaskGroup() as group:
        for _ in range(load.open_problems):
            group.create_task(work())
    return spent.policy_requests + spent.prm_requests


async def replay(url: str, bodies: list[tuple[str, bytes]], load: Load) -> Cost:
    """Post recorded bodies with aiohttp and nothing else."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        return await measured(_post_all(session, url, bodies, load.chains))


async def _post_all(
    session: aiohttp.ClientSession, url: str, bodies: list[tuple[str, bytes]], at_once: int
) -> int:
    left = iter(bodies)
    headers = {"Content-Type": "application/json"}

    async def work() -> None:
        for path, body in left:
            async with session.post(url + path, data=body, headers=headers) as response:
                await response.read()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return len(bodies)


def recorded(load: Load, script: Script) -> list[tuple[str, bytes]]:
    """Return the path and body of all requests that the searches of a load make."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "requests"
        with scripted_server(script, record=file) as url:
            asyncio.run(search(url, load))
        lines = file.read_bytes().splitlines()
    bodies = [line.split(b" ", 1) for line in lines]
    hot = (b"/v1/completions", b"/generative_scoring")
    return [(path.decode(), body) for path, body in bodies if path in hot and body != b"{}"]


def compare(problems: int, repeats: int) -> list[dict[str, float]]:
    """Return a row for each number of requests in flight: the client beside the bare loop."""
    rows: list[dict[str, float]] = []
    with scripted_server(Script()) as url:
        for chains in IN_FLIGHT:
            load = Load(problems, 64, chains)
            bodies = recorded(load, Script())
            pairs = [
                (asyncio.run(search(url, load)), asyncio.run(replay(url, bodies, load)))
                for _ in range(repeats)
            ]
            assert all(ours.requests == bare.requests for ours, bare in pairs)
            ours = min((ours for ours, _ in pairs), key=lambda cost: cost.cpu_s)
            bare = min((bare for _, bare in pairs), key=lambda cost: cost.cpu_s)
            ratios = [ours.cpu_s / bare.cpu_s for ours, bare in pairs]
            rows.append(
                {
                    "in_flight": chains,
                    "requests": ours.requests,
                    "request_ms": ours.request_ms,
                    "bare_request_ms": bare.request_ms,
                    "scored_step_ms": 2 * ours.request_ms,
                    "ratio": statistics.median(ratios),
                    "requests_per_core_s": ours.per_core,
                    "requests_per_wall_s": ours.requests / ours.wall_s,
                    "mean_body_bytes": statistics.mean(len(body) for _, body in bodies),
                }
            )
    return rows


def growth(problems: int) -> list[dict[str, float]]:
    """Return a row for each N and each number of steps, where all else is alike."""
    rows: list[dict[str, float]] = []
    by_n = [(n, 10) for n in (16, 64, 256, 1024)]
    by_steps = [(64, steps) for steps in (5, 10, 20, 40)]
    for n, steps in dict.fromkeys(by_n + by_steps):
        script = Script(min_steps=steps, max_steps=steps)
        load = Load(max(1, problems * 64 * 10 // (n * steps)), n, n // M, max_steps=steps + 1)
        with scripted_server(script) as url:
            cost = min((asyncio.run(search(url, load)) for _ in range(3)), key=lambda c: c.cpu_s)
        rows.append({"n": n, "steps": steps, "problems": load.problems, **asdict(cost)})
        rows[-1]["request_ms"] = cost.request_ms
        rows[-1]["requests_per_problem"] = cost.requests / load.problems
    return rows


def main() -> None:
    """Measure, and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=128, help="how many, at N = 64")
    parser.add_argument("--repeats", type=int, default=3, help="of client and bare loop in turn")
    parser.add_argument("--exchanges", type=int, default=20_000, help="how many, by themselves")
    parser.add_argument("--only", choices=PARTS, help="leave the other parts out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    gc.set_threshold(GC_THRESHOLD)  # as `ttc` does
    parts = {args.only} if args.only else set(PARTS)
    figures: dict[str, Sequence[Mapping[str, float | str]]] = {}
    if "connection" in parts:
        keys = [str(n) for n in IN_FLIGHT]
        figures["connection"] = connection_alone(_cpu, args.exchanges, args.repeats, IN_FLIGHT)
        print_table(
            ("CPU ms/exchange", *(f"{key} in flight" for key in keys)),
            [
                (str(row["way"]), *(f"{row[key]:.3f}" if key in row else "–" for key in keys))
                for row in figures["connection"]
            ],
        )
    if "cost" in parts:
        figures["cost"] = compare(args.problems, args.repeats)
        print_table(
            (
                "in flight",
                "CPU ms/request",
                "bare",
                "ratio",
                "ms/scored step",
                "per core·s",
                "per s",
            ),
            [
                (
                    f"{row['in_flight']:.0f}",
                    f"{row['request_ms']:.3f}",
                    f"{row['bare_request_ms']:.3f}",
                    f"{row['ratio']:.2f}",
                    f"{row['scored_step_ms']:.3f}",
                    f"{row['requests_per_core_s']:,.0f}",
                    f"{row['requests_per_wall_s']:,.0f}",
                )
                for row in figures["cost"]
            ],
        )
    if "growth" in parts:
        figures["growth"] = growth(args.problems // 8)
        print_table(
            ("N × steps", "requests/problem", "CPU ms/request"),
            [
                (
                    f"{row['n']:.0f} × {row['steps']:.0f}",
                    f"{row['requests_per_problem']:,.0f}",
                    f"{row['request_ms']:.3f}",
                )
                for row in figures["growth"]
            ],
        )
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
