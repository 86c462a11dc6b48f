"""Cancel searches at random moments, ten thousand times, and count what is left behind.

    python -m scripts.torture.storm

Nothing may be: no connection or request at the servers, no slot, task, thread, process,
descriptor or temporary file here. Exits with 1 otherwise.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.torture.soak import SEARCHES, num_files
from tests.fakes.shaky import Shape, own_temporary_files, shaky_servers
from ttc_client import Client, Servers
from ttc_client.middleware.limits import Limiter
from ttc_client.search.params import SearchParams
from ttc_client.types import Problem

AT_ONCE = 100
LONGEST_S = 1.0
ANSWERS = ["x+{}", r"\frac{{x}}{{{}}}", r"\sqrt{{{}}}", "{}"]


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds beside memory."""

    tasks: int
    threads: int
    descriptors: int
    children: int
    slots: int
    queued: int
    files: int


def held() -> Held:
    """Count it; garbage is no leak."""
    gc.collect()
    limiters = [thing for thing in gc.get_objects() if isinstance(thing, Limiter)]
    pid = os.getpid()
    return Held(
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        descriptors=num_files("/proc/self/fd"),
        children=len(Path(f"/proc/self/task/{pid}/children").read_text().split()),
        slots=sum(limiter.in_flight for limiter in limiters),
        queued=sum(len(limiter._waiting) for limiter in limiters),
        files=num_files(tempfile.gettempdir()),
    )


async def cancel_one(client: Client, number: int, counts: Counter[str]) -> None:
    """Begin a search, or the keying of some answers, and cancel it at a random moment."""
    luck = random.Random(number)
    if luck.random() < 0.9:
        work = client.solve(f"What is {number}?", luck.choice(SEARCHES))
    else:
        work = key(client, number)
    task = asyncio.create_task(work)
    await asyncio.wait([task], timeout=LONGEST_S * luck.random() ** 2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    counts["cancelled" if task.cancelled() else "finished first"] += 1


async def key(client: Client, number: int) -> None:
    """Key some answers that need SymPy."""
    ballot = client.ballot(Problem(question="?"), SearchParams())
    await ballot.keys([answer.format(number) for answer in ANSWERS])


async def storm(client: Client, num_cancels: int, counts: Counter[str]) -> None:
    """Cancel so many searches, many at once."""
    begun = 0

    async def work() -> None:
        nonlocal begun
        while counts["cancelled"] < num_cancels:
            begun += 1
            await cancel_one(client, begun, counts)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


async def measure(num_cancels: int, latency_s: float) -> dict[str, Any]:
    """Return what was held while a client was open, and after it was closed."""
    counts: Counter[str] = Counter()
    async with shaky_servers(Shape(replicas=2, rates={}, latency_s=latency_s)) as servers:
        urls = tuple(servers.urls)
        named = Servers(policy=urls, prm=urls, prm_api="score", check=False, concurrency=64)
        before = held()
        start_s = time.monotonic()
        async with Client(named) as client:
            await key(client, 0)
            opened = held()
            await storm(client, num_cancels, counts)
            stormed = held()
            in_flight = sum(one.in_flight for one in await servers.stats())
        after, at_servers = held(), await servers.calm()
    left = {name: getattr(after, name) - getattr(before, name) for name in Held.__slots__}
    return {
        "counts": dict(counts),
        "seconds": time.monotonic() - start_s,
        "in_flight_at_the_servers_when_it_ends": in_flight,
        "open": {name: [getattr(one, name) for one in (opened, stormed)] for name in left},
        "left": left | {f"server {name}": count for name, count in at_servers.items()},
    }


def sound(found: dict[str, Any]) -> bool:
    """Say whether nothing is left, nor held by the open client that waits for nothing."""
    waiting = ("tasks", "slots", "queued", "files")
    return not any(found["left"].values()) and all(
        found["open"][name][1] <= found["open"][name][0] for name in waiting
    )


def main() -> None:
    """Parse the command line, storm, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cancels", type=int, default=10_000)
    parser.add_argument(
        "--latency", type=float, default=0.05, metavar="S", help="mean seconds per answer"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    with own_temporary_files():
        found = asyncio.run(measure(args.cancels, args.latency))
    print(f"{found['counts']} in {found['seconds']:.0f} s")
    print(f"{'':<20}{'client opened':>15}{'after the storm':>17}{'left when closed':>18}")
    for name, left in found["left"].items():
        opened = found["open"].get(name, ["", ""])
        print(f"{name:<20}{opened[0]:>15}{opened[1]:>17}{left:18}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(not sound(found))


if __name__ == "__main__":
    main()
