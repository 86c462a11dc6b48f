"""Run a problem set through servers that fail, and compare with a run in which nothing does.

    python -m scripts.torture.faults

Between the client and two replicas stands a proxy that answers 5 % of the requests with 503,
resets 2 %, cuts 1 % short, garbles 1 % and delays 2 % by up to half a minute; meanwhile one
replica is killed and started again. Exits with 1 unless results.jsonl is the same, line for line,
and the run's costs count every fault by its cause.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes.shaky import ShakyServers, Shape, shaky_servers
from ttc_client import Client, SearchParams, Servers
from ttc_client.bench.bench import Bench
from ttc_client.bench.journal import Journal
from ttc_client.bench.runs import RESULTS, read_run
from ttc_client.types import Problem, Usage

STRATEGIES = ("best-of-n", "dvts", "beam")
KILLED = 1
"""Which replica is killed when a third of the searches are finished, and back at two thirds."""

CAUSES = {"503": "503", "garbage": "garbled", "reset": "connection", "truncated": "connection"}
"""What each fault is to the client; one that it does not notice ("replaced") is none."""


async def run(
    named: Servers, n: int, problems: Sequence[Problem], out: Path, servers: ShakyServers
) -> tuple[Counter[str], int]:
    """Run all searches into a directory; return the faults meanwhile, and the delays."""
    searches = [SearchParams(strategy=strategy, n=n) for strategy in STRATEGIES]
    with Journal(out, {}, problems, resume=False) as journal:
        async with Client(named) as client:
            opened = await servers.stats()
            bench = Bench(problems, searches, journal)
            async with asyncio.TaskGroup() as group:
                if isinstance(named.policy, tuple) and named.policy[1:]:
                    group.create_task(kill_and_revive(bench, servers))
                await bench.run(client)
        ended = await servers.stats()
    faults = sum((Counter(stats.faults) for stats in ended), Counter[str]())
    faults.subtract(sum((Counter(stats.faults) for stats in opened), Counter[str]()))
    return faults, sum(stats.delays for stats in ended)


async def kill_and_revive(bench: Bench, servers: ShakyServers) -> None:
    """Kill a replica a third of the way, and start it again at two thirds."""
    standing = bench.standing

    async def reached(share: float) -> None:
        while sum(standing.finished.values()) < share * standing.num_searches:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    await reached(1 / 3)
    await servers.kill(KILLED)
    await reached(2 / 3)
    await servers.revive(KILLED)


async def compare(num_problems: int, n: int, shape: Shape, directory: Path) -> dict[str, Any]:
    """Run without faults and with them; return both sides of every account."""
    problems = [
        Problem(question=f"What is {i}?", id=f"{i}", gold=f"{i % 3}") for i in range(num_problems)
    ]
    async with shaky_servers(shape) as servers:
        urls = tuple(servers.urls)
        named = Servers(policy=urls, prm=urls, prm_api="score", check=False)
        await servers.spoil({})
        calm = replace(named, policy=urls[:1], prm=urls[:1])
        start_s = time.monotonic()
        await run(calm, n, problems, directory / "calm", servers)
        calm_s = time.monotonic() - start_s
        await servers.spoil(shape.rates)
        faults, delays = await run(named, n, problems, directory / "shaky", servers)
        shaky_s = time.monotonic() - start_s - calm_s
    before, after = [(directory / name / RESULTS).read_bytes() for name in ("calm", "shaky")]
    shaky = read_run(directory / "shaky")
    usage = sum((cost.usage for cost in shaky.costs.values()), Usage())
    injected = sum((Counter({CAUSES[f]: faults[f]}) for f in CAUSES), Counter[str]())
    return {
        "searches": len(shaky.costs),
        "seconds": [calm_s, shaky_s],
        "same_results": before == after,
        "failed": len(shaky.failed),
        "delays": delays,
        "injected": injected,
        "repeated": Counter(usage.retries),
        "cancelled_requests": usage.cancelled_requests,
        "requests": usage.policy_requests + usage.prm_requests,
    }


def sound(found: dict[str, Any]) -> bool:
    """Say whether the results are the same and the accounts are even.

    The killed replica breaks connections besides. A fault that hits a request of beam search just
    as that is closed has no repetition.
    """
    injected, repeated = Counter(found["injected"]), Counter(found["repeated"])
    return (
        found["same_results"]
        and not found["failed"]
        and set(repeated - injected) <= {"connection"}
        and (injected - repeated).total() <= found["cancelled_requests"]
    )


def main() -> None:
    """Parse the command line, run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--delay", type=float, default=30.0, metavar="S", help="the longest delay")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    shape = Shape(replicas=2, delay_s=args.delay)
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(compare(args.problems, args.n, shape, Path(directory)))
    calm_s, shaky_s = found["seconds"]
    print(f"{found['searches']} searches: {calm_s:.0f} s without faults, {shaky_s:.0f} s with them")
    print(
        f"{found['requests']} requests, {found['delays']} delayed by up to {args.delay:g} s, "
        f"{found['cancelled_requests']} closed early"
    )
    print(f"{'cause':<12}{'injected':>10}{'repeated':>10}")
    for cause, count in found["repeated"].most_common():
        print(f"{cause:<12}{found['injected'][cause]:10}{count:10}")
    print("a killed replica's requests are repeated besides: connection")
    print("results.jsonl is", "the same" if found["same_results"] else "NOT THE SAME")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(not sound(found))


if __name__ == "__main__":
    main()
