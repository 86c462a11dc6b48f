"""Measure whether a large bench run costs the client more per candidate than a small one.

`python scripts/bench/scale.py` runs `ttc bench`'s own machinery, traces and all, over 10, 50 and
500 problems at N = 256, against a scripted server that answers at once, in a process of its own.
Each run is a process of its own too: its peak memory is what the operating system says, its CPU
that of the client alone, without the workers that compare answers, from the first search to the
last line on disk. A run takes minutes: `--problems 10,50` is quick.
"""

import argparse
import asyncio
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fakes.scripted_process import Script, print_table, scripted_server, write_json
from ttc_client import Client, SearchParams, Servers
from ttc_client.analysis.curves import read_curves
from ttc_client.bench.bench import Bench
from ttc_client.bench.journal import Journal
from ttc_client.bench.runs import read_run
from ttc_client.types import Problem

SCRIPT = Script(min_steps=4, max_steps=8, step_tokens=60)
"""Solutions of 4 to 8 steps of some 300 characters."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run cost the client; `start_mib` is the peak memory before its first search."""

    cpu_s: float
    wall_s: float
    start_mib: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A run, and its cost for each of the N candidates of each problem.

    `read_mib` is the peak memory after all records were read back for the closing table.
    """

    strategy: str
    problems: int
    n: int
    requests: int
    candidate_ms: float
    cost: Cost
    read_mib: float
    disk_mib: float


def measure(url: str, strategy: str, num_problems: int, n: int, concurrency: int) -> Figures:
    """Run a bench in this process, which should be a fresh one."""
    params = SearchParams(strategy=strategy, n=n, max_completion_tokens=1 << 20)
    servers = Servers(policy=(url,), prm=(url,), concurrency=concurrency, check=False)
    problems = [_problem(number) for number in range(num_problems)]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with Journal(directory, {}, problems, resume=False) as journal:
            bench = Bench(problems, [params], journal)
            cost = asyncio.run(_run(bench, servers))
        if bench.standing.num_failed:
            raise RuntimeError(f"a search failed: {bench.standing.latest_error}")
        run = read_run(directory)
        read_curves([run])
        usages = [cost.usage for cost in run.costs.values()]
        requests = sum(usage.policy_requests + usage.prm_requests for usage in usages)
        disk_mib = sum(path.stat().st_size for path in directory.iterdir()) / MIB
    candidate_ms = 1000 * cost.cpu_s / (n * num_problems)
    return Figures(strategy, num_problems, n, requests, candidate_ms, cost, _peak_mib(), disk_mib)


async def _run(bench: Bench, servers: Servers) -> Cost:
    async with Client(servers) as client:
        start_mib, cpu_s, wall_s = _peak_mib(), _cpu_s(), time.perf_counter()
        await bench.run(client)
        cpu_s, wall_s = _cpu_s() - cpu_s, time.perf_counter() - wall_s
    return Cost(cpu_s, wall_s, start_mib, _peak_mib())


def _problem(number: int) -> Problem:
    """Return a problem as long as those of MATH, and like no other."""
    told = f"A shop has {number} boxes, and each of them holds as many nails as there are boxes. "
    return Problem(question=f"{3 * told}How many nails are there?", id=str(number), gold="42")


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def measure_all(
    strategies: list[str], problems: list[int], n: int, concurrency: int
) -> list[Figures]:
    """Measure every run in a process of its own, against one server."""
    fresh = multiprocessing.get_context("spawn")
    found: list[Figures] = []
    with scripted_server(SCRIPT) as url:
        for strategy in strategies:
            for num_problems in problems:
                with ProcessPoolExecutor(1, mp_context=fresh) as process:
                    arguments = (url, strategy, num_problems, n, concurrency)
                    found.append(process.submit(measure, *arguments).result())
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategies", default="best-of-n,dvts", help="(default: best-of-n,dvts)")
    parser.add_argument("--problems", default="10,50,500", help="how many (default: 10,50,500)")
    parser.add_argument("-n", type=int, default=256, help="candidates a problem (default: 256)")
    parser.add_argument("--concurrency", type=int, default=256, help="as of ttc (default: 256)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    problems = [int(part) for part in args.problems.split(",")]
    found = measure_all(args.strategies.split(","), problems, args.n, args.concurrency)
    head = ("strategy", "problems", "requests", "ms/candidate", "CPU s", "wall s")
    rows = [
        (
            figures.strategy,
            f"{figures.problems}",
            f"{figures.requests:,}",
            f"{figures.candidate_ms:.2f}",
            f"{figures.cost.cpu_s:.1f}",
            f"{figures.cost.wall_s:.1f}",
            f"{figures.cost.start_mib:.0f}",
            f"{figures.cost.peak_mib:.0f}",
            f"{figures.read_mib:.0f}",
            f"{figures.disk_mib:.0f}",
        )
        for figures in found
    ]
    print_table((*head, "MiB before", "at most", "to read", "on disk"), rows)
    write_json(args.json, [asdict(figures) for figures in found])


if __name__ == "__main__":
    main()
