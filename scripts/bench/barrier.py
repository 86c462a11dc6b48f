"""Measure what DVTS gains by letting no subtree wait for another.

`python scripts/bench/barrier.py` searches the same problems three times on a scripted server
whose step times are log-normal: with DVTS as it is, with a barrier per level in each problem, and
with a barrier per level over all problems, as a batch is searched. The seeds, and so the trees
and the time of each step, are the same. Then it searches one problem alone, beside the time that
the server takes for the steps of its longest subtree, one after the other.
"""

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path

from tests.fakes.scripted_process import Script, print_table, scripted_server, write_json
from ttc_client import SearchParams, Servers
from ttc_client.middleware.meter import Exchange, Meter
from ttc_client.runtime.stack import OpenServers, open_servers
from ttc_client.search.ballot import Ballot
from ttc_client.search.dvts import SubtreeSettings, dvts
from ttc_client.search.ports import SampleRequest
from ttc_client.search.results import Rules
from ttc_client.search.search import Ports, Search
from ttc_client.search.strategies import find_strategy
from ttc_client.search.watch import Watch
from ttc_client.tasks.math import Math
from ttc_client.types import Problem, Trajectory

Trees = Sequence[Search[SubtreeSettings]]
Method = Callable[[Trees], Awaitable[list[Trajectory]]]


async def no_barrier(searches: Trees) -> list[Trajectory]:
    """Search all problems at once."""
    found = await asyncio.gather(*map(dvts, searches))
    return [trajectory for one in found for trajectory in one.sampled]


async def barrier_per_problem(searches: Trees) -> list[Trajectory]:
    """Search all problems at once, the subtrees of each level by level."""
    found = await asyncio.gather(*(barrier_over_all([search]) for search in searches))
    return [trajectory for sampled in found for trajectory in sampled]


async def barrier_over_all(searches: Trees) -> list[Trajectory]:
    """Search level by level: the next one begins when all subtrees have taken their step."""
    growing = [
        (search, search.root)
        for search in searches
        for _ in range(0, search.params.n, search.params.m)
    ]
    sampled: list[Trajectory] = []
    for depth in count(1):
        levels = await asyncio.gather(
            *(
                search.expand(beam, search.params.m, until=search.until(depth))
                for search, beam in growing
            )
        )
        best: list[tuple[Search[SubtreeSettings], Trajectory]] = []
        for (search, _), steps in zip(growing, levels, strict=True):
            sampled += steps
            best.append((search, max(steps, key=lambda step: step.value)))
        growing = [(search, beam) for search, beam in best if not beam.finished]
        if not growing:
            break
    return sampled


async def timed(url: str, method: Method, problems: int, meter: Meter) -> tuple[float, set[object]]:
    """Search; return the seconds and what was sampled."""
    named = Servers(policy=(url,), prm=(url,), check=False, concurrency=64 * problems)
    async with open_servers(named) as servers:
        searches = [await tree(servers, f"What is ${i} + {i}$?", meter) for i in range(problems)]
        began_s = time.perf_counter()
        sampled = await method(searches)
        seconds = time.perf_counter() - began_s
    return seconds, {(t.prompt.messages, t.path, t.text, t.scores) for t in sampled}


async def tree(servers: OpenServers, question: str, meter: Meter) -> Search[SubtreeSettings]:
    """Return the search of a problem, before its first step."""
    problem, root_of = Problem(question=question), servers.root(meter)
    ports = Ports(
        policy=servers.policy(meter),
        verifier=servers.verifier(meter),
        root=root_of,
        written=servers.written(meter),
        ballot=Ballot(str, _as_they_read),
        watch=Watch(),
        find=find_strategy,
        rules=Rules(),
    )
    root = await root_of(Math().messages(problem))
    return Search(problem, root, SearchParams(strategy="dvts", n=64), ports)


async def _as_they_read(answers: Sequence[str]) -> Sequence[str]:
    return answers


def chains_s(script: Script) -> tuple[dict[int, float], Callable[[Exchange], None]]:
    """Return the server's time for each subtree so far, and what counts it."""
    chains: dict[int, float] = defaultdict(float)

    def add_up(exchange: Exchange) -> None:
        request, _ = exchange
        subtree = int(request.session.rpartition("\n")[2])
        if isinstance(request, SampleRequest):
            assert request.seed is not None
            chains[subtree] += script.policy_s(request.seed, request.n)
        else:
            chains[subtree] += script.score_ms / 1000

    return chains, add_up


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--step-ms", type=float, default=1000, help="median time of a sequence")
    parser.add_argument("--sigma", type=float, default=0.8, help="of the log-normal step times")
    parser.add_argument("--score-ms", type=float, default=100, help="time of a PRM request")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    script = Script(step_ms=args.step_ms, sigma=args.sigma, score_ms=args.score_ms)
    seconds: dict[str, float] = {}
    trees: list[set[object]] = []
    with scripted_server(script) as url:
        for search in (no_barrier, barrier_per_problem, barrier_over_all):
            name = search.__name__.replace("_", " ")
            seconds[name], sampled = asyncio.run(timed(url, search, args.problems, Meter()))
            trees.append(sampled)
        chains, count = chains_s(script)
        alone_s, _ = asyncio.run(timed(url, no_barrier, 1, Meter(on_exchange=count)))
    if not trees[0] == trees[1] == trees[2]:
        raise SystemExit("the searches did not sample the same trees")
    fastest_s, longest_s = seconds["no barrier"], max(chains.values())
    rows = [
        (f"{args.problems} problems, {name}", f"{s:.1f}", f"{s / fastest_s:.2f}")
        for name, s in seconds.items()
    ]
    rows.append(("longest subtree of one problem, by itself", f"{longest_s:.1f}", "1.00"))
    rows.append(("one problem, no barrier", f"{alone_s:.1f}", f"{alone_s / longest_s:.2f}"))
    print_table(("search", "s", "ratio"), rows)
    figures = {
        "script": asdict(script),
        "seconds": seconds,
        "alone_s": alone_s,
        "longest_chain_s": longest_s,
    }
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
