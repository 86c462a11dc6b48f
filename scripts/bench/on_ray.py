"""Measure a bench with 1 to 4 workers on Ray against one process, client-bound.

    PYTHONPATH=$(scripts/install_ray) python -m scripts.bench.on_ray

runs `ttc bench`'s own machinery, DVTS at N = 64, against a scripted server that answers at once, in
a process of its own. Wall time says what this machine's cores allow, which the server and the
driver share; CPU time says what each worker does on a core of its own. The answers' graders, which
are processes too, do not count.
"""

import argparse
import asyncio
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.scale import SCRIPT, _cpu_s, _problem
from tests.fakes.scripted_process import print_table, scripted_server
from ttc_client import Client, SearchParams, Servers
from ttc_client.bench.bench import Bench
from ttc_client.bench.journal import Journal
from ttc_client.bench.leases import employ
from ttc_client.bench.on_ray import ray_cluster
from ttc_client.bench.runs import read_run
from ttc_client.bench.worker import Work, Worker
from ttc_client.runtime.evaluate import Job
from ttc_client.tasks.math import Math

N = 64
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took; `workers_s` is the CPU time of all workers, None where there are none."""

    requests: int
    wall_s: float
    driver_s: float
    workers_s: float | None


class _Watch:
    """The CPU time of processes by the start of their command line, sampled while they live."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._over = threading.Event()

    @property
    def seconds(self) -> float:
        return sum(self._last.values()) - sum(self._first.values())

    def sample(self) -> None:
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if not (place / "cmdline").read_bytes().startswith(self._mark):
                    continue
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            self._last[place.name] = (int(fields[11]) + int(fields[12])) * _TICK_S
            self._first.setdefault(place.name, self._last[place.name])

    @contextmanager
    def on(self):
        def loop() -> None:
            while not self._over.wait(0.5):
                self.sample()

        self.sample()
        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self.sample()


def measure(url: str, num_workers: int, num_problems: int, concurrency: int) -> Cost:
    """Run a bench in this process, which should be a fresh one; 0 workers are this process."""
    params = SearchParams(strategy="dvts", n=N, max_completion_tokens=1 << 20)
    servers = Servers(policy=(url,), prm=(url,), concurrency=concurrency, check=False)
    problems = [_problem(number) for number in range(num_problems)]
    with tempfile.TemporaryDirectory() as name:
        with Journal(Path(name), {}, problems, resume=False) as journal:
            bench = Bench(problems, [params], journal)
            cpu_s, wall_s, workers_s = asyncio.run(_run(bench, servers, params, num_workers))
        if bench.standing.num_failed:
            raise RuntimeError(f"a search failed: {bench.standing.latest_error}")
        usages = [cost.usage for cost in read_run(Path(name)).costs.values()]
    requests = sum(usage.policy_requests + usage.prm_requests for usage in usages)
    return Cost(requests, wall_s, cpu_s, workers_s)


async def _run(bench: Bench, servers: Servers, params: SearchParams, num_workers: int):
    watch = _Watch(b"ray::Worker")
    async with AsyncExitStack() as stack:
        if num_workers:
            hire, _ = stack.enter_context(ray_cluster("auto"))
            work = Work(servers, Math(), (params,), num_workers)
            say = lambda text: print(text, file=sys.stderr)  # noqa: E731
            fleet = await stack.enter_async_context(employ(hire, work, say))
            run = bench.run_on(fleet)
        else:
            run = bench.run(await stack.enter_async_context(Client(servers)))
        stack.enter_context(watch.on())
        cpu_s, wall_s = _cpu_s(), time.perf_counter()
        await run
        cpu_s, wall_s = _cpu_s() - cpu_s, time.perf_counter() - wall_s
        watch.sample()
    return cpu_s, wall_s, watch.seconds if num_workers else None


async def _driving_ms(url: str) -> float:
    """Return the CPU time that a driver needs for a search: to unpickle, count and write it."""
    params = SearchParams(strategy="dvts", n=N, max_completion_tokens=1 << 20)
    servers = Servers(policy=(url,), prm=(url,), check=False)
    worker = Worker(Work(servers, Math(), (params,), 1))
    await worker.open()
    problems = [_problem(number) for number in range(200)]
    report = await worker.exchange([(0, Job(problems[0], params))])
    while not report.outcomes:
        report = await worker.exchange([])
    await worker.close()
    ended = pickle.dumps(report.outcomes[0])
    with (
        tempfile.TemporaryDirectory() as name,
        Journal(Path(name), {}, problems, resume=False) as journal,
    ):
        bench = Bench(problems, [params], journal)
        began_s = _cpu_s()
        for problem in problems:
            _, outcome = pickle.loads(ended)
            await bench._keep_spent(Job(problem, params), outcome)
        return 1000 * (_cpu_s() - began_s) / len(problems)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="0,1,2,4", help="(default: 0,1,2,4)")
    parser.add_argument("--problems", type=int, default=100, help="(default: 100)")
    parser.add_argument("--concurrency", type=int, default=512, help="as of ttc (default: 512)")
    parser.add_argument("--driver", action="store_true", help="what a driver does for a search")
    args = parser.parse_args()
    if args.driver:
        with scripted_server(SCRIPT) as url:
            print(f"{asyncio.run(_driving_ms(url)):.1f} ms of a driver's CPU a search, N = {N}")
        return
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",  # 15 by default: on a busy machine they hardly run
        "RAY_OVERRIDE_RESOURCES": '{"CPU": 4}',  # more workers than cores may start
    }
    fresh = multiprocessing.get_context("spawn")
    rows = []
    with scripted_server(SCRIPT) as url:
        for num in map(int, args.workers.split(",")):
            with ProcessPoolExecutor(1, mp_context=fresh) as process:
                arguments = (url, num, args.problems, args.concurrency)
                cost = process.submit(measure, *arguments).result()
            searching_s = cost.driver_s if cost.workers_s is None else cost.workers_s
            rows.append(
                (
                    f"{num or 'none'}",
                    f"{cost.requests:,}",
                    f"{cost.wall_s:.1f}",
                    f"{cost.requests / cost.wall_s:,.0f}",
                    f"{cost.driver_s:.1f}",
                    f"{searching_s:.1f}",
                    f"{cost.requests / searching_s:,.0f}",
                )
            )
            print(*rows[-1], sep="  ", file=sys.stderr)
    head = ("workers", "requests", "wall s", "per s", "driver CPU s", "searching CPU s")
    print_table((*head, "per CPU s"), rows)


if __name__ == "__main__":
    main()
