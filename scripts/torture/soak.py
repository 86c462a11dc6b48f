"""Search for hours through servers that fail, and see whether anything grows.

    python -m scripts.torture.soak --minutes 60

All strategies take turns, one search in five is cancelled midway, and the client is opened anew
every few minutes. Memory, descriptors, tasks and threads are sampled; exits with 1 if one of them
grows after the first quarter, or if something is left at the end.
"""

import argparse
import asyncio
import json
import math
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any

from tests.fakes.shaky import Shape, own_temporary_files, shaky_servers
from ttc_client import Client, Servers
from ttc_client.errors import TTCError
from ttc_client.search.params import SearchParams
from ttc_client.search.stepwise import StepwiseSettings

SEARCHES = [
    SearchParams(strategy="dvts", n=16),
    SearchParams(strategy="beam", n=16),
    SearchParams(strategy="dvts", n=8, settings=StepwiseSettings(lookahead=1)),
    SearchParams(strategy="best-of-n", n=16),
    SearchParams(strategy="majority", n=8),
    SearchParams(strategy="greedy"),
]
AT_ONCE = 4
CANCELLED = 0.2
MINUTES_OPEN = 5.0
WARM_UP = 0.25
MAY_GROW = {"rss_mb": 4.0, "descriptors": 4.0, "tasks": 4.0, "threads": 1.0}
"""From the end of the warm-up to the end of the soak, by the line through the samples."""


@dataclass(frozen=True)
class Sample:
    """What the process holds."""

    at_s: float
    rss_mb: float
    descriptors: int
    tasks: int
    threads: int


def sample(start_s: float) -> Sample:
    """Look at this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        time.monotonic() - start_s,
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        num_files("/proc/self/fd"),
        len(asyncio.all_tasks()),
        threading.active_count(),
    )


def num_files(directory: str) -> int:
    """Return how many entries a directory has."""
    return len(list(Path(directory).iterdir()))


def growth(samples: Sequence[Sample], name: str) -> float:
    """Return how much a figure grows from the end of the warm-up on."""
    end_s = samples[-1].at_s
    settled = [one for one in samples if one.at_s >= WARM_UP * end_s]
    times = [one.at_s for one in settled]
    slope, _ = linear_regression(times, [getattr(one, name) for one in settled])
    return slope * (times[-1] - times[0])


async def search(client: Client, number: int, counts: Counter[str]) -> None:
    """Search once, for a problem of its own, or begin to."""
    luck = random.Random(number)
    params = luck.choice(SEARCHES)
    task = asyncio.create_task(client.solve(f"What is {number}?", params))
    if luck.random() < CANCELLED:
        await asyncio.wait([task], timeout=luck.uniform(0, 2))
        task.cancel()
    try:
        with suppress(asyncio.CancelledError):
            result = await task
            counts["retries"] += sum(result.usage.retries.values())
            counts["requests"] += result.usage.policy_requests + result.usage.prm_requests
        counts["cancelled" if task.cancelled() else "finished"] += 1
    except TTCError as error:
        counts["failed"] += 1
        print(f"failed: {error}", file=sys.stderr)


async def searches(named: Servers, seconds: float, counts: Counter[str]) -> None:
    """Search with one client, several at once, until the time is up."""
    end_s = time.monotonic() + seconds
    async with Client(named) as client:

        async def work() -> None:
            while time.monotonic() < end_s:
                counts["begun"] += 1
                await search(client, counts["begun"], counts)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())


async def soak(minutes: float, latency_s: float) -> dict[str, Any]:
    """Return what was searched, the samples, what grew and what was left behind."""
    samples: list[Sample] = []
    counts: Counter[str] = Counter()
    seconds = 60 * minutes
    shape = Shape(replicas=2, delay_s=min(30.0, seconds / 20), latency_s=latency_s)
    async with shaky_servers(shape) as servers:
        await servers.spoil({})
        named = Servers(
            policy=tuple(servers.urls), prm=tuple(servers.urls), prm_api="score", check=False
        )
        start_s = time.monotonic()
        before = sample(start_s)

        async def watch() -> None:
            while True:
                await asyncio.sleep(min(10.0, seconds / 100))
                samples.append(sample(start_s))

        watching = asyncio.create_task(watch())
        await servers.spoil(shape.rates)
        openings = math.ceil(minutes / MINUTES_OPEN)
        for _ in range(openings):
            await searches(named, seconds / openings, counts)
        watching.cancel()
        await asyncio.wait([watching])
        after = sample(start_s)
        at_servers = await servers.calm()
        seen = await servers.stats()
    grown = {name: growth(samples, name) for name in MAY_GROW}
    left = {
        "descriptors": after.descriptors - before.descriptors,
        "tasks": after.tasks - before.tasks,
        "server requests": at_servers["requests"],
        "server connections": at_servers["connections"],
        "temporary files": num_files(tempfile.gettempdir()),
    }
    return {
        "minutes": minutes,
        "counts": dict(counts),
        "faults": dict(sum((Counter(one.faults) for one in seen), Counter())),
        "means": {name: fmean(getattr(one, name) for one in samples) for name in MAY_GROW},
        "grown": grown,
        "left": left,
        "flat": all(grown[name] <= limit for name, limit in MAY_GROW.items())
        and not any(left.values())
        and not counts["failed"],
        "samples": [asdict(one) for one in samples],
    }


def shown(found: dict[str, Any], verdict: str, file: Path | None) -> bool:
    """Print what a soak found, write it to a file if one is named, and return its verdict."""
    for name, mean in found["means"].items():
        print(f"{name:<14}{mean:9.1f} on average {found['grown'][name]:+8.2f} since the warm-up")
    for name, count in found["left"].items():
        print(f"{name:<20}{count:3} left at the end")
    print(verdict if found[verdict] else f"NOT {verdict.upper()}")
    if file:
        file.write_text(json.dumps(found, indent=2) + "\n")
    return found[verdict]


def main() -> None:
    """Parse the command line, soak, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--latency", type=float, default=0.4, metavar="S", help="mean seconds per answer"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    with own_temporary_files():
        found = asyncio.run(soak(args.minutes, args.latency))
    print(f"{found['minutes']:g} minutes: {found['counts']}, faults {found['faults']}")
    sys.exit(not shown(found, "flat", args.json))


if __name__ == "__main__":
    main()
