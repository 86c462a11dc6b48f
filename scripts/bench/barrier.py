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
from pathlib import Path

from tests.fakes.scripted_process import Script, print_table, scripted_server, write_json
from ttc_client import SearchConfig
from ttc_client.middleware.meter import Exchange, Meter
from ttc_client.runtime.stack import open_servers
from ttc_client.search.dvts import dvts
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.strategies import Expander
from ttc_client.types import Trajectory

Search = Callable[[Sequence[Trajectory], Expander, SearchParams], Awaitable[list[Trajectory]]]


async def no_barrier(
    roots: Sequence[Trajectory], expand: Expander, params: SearchParams
) -> list[Trajectory]:
    """Search all problems at once."""
    found = await asyncio.gather(*(dvts(root, expand, params) for root in roots))
    return [trajectory for sampled in found for trajectory in sampled]


async def barrier_per_problem(
    roots: Sequence[Trajectory], expand: Expander, params: SearchParams
) -> list[Trajectory]:
    """Search all problems at once, the subtrees of each level by level."""
    found = await asyncio.gather(*(barrier_over_all([root], expand, params) for root in roots))
    return [trajectory for sampled in found for trajectory in sampled]


async def barrier_over_all(
    roots: Sequence[Trajectory], expand: Expander, params: SearchParams
) -> list[Trajectory]:
    """Search level by level: the next one begins when all subtrees have taken their step."""
    firsts = range(0, params.n, params.m)
    best = {(i, first): root for i, root in enumerate(roots) for first in firsts}
    sampled: list[Trajectory] = []
    for depth in range(1, params.max_steps + 1):
        to_end = depth == params.max_steps
        growing = [(key, beam) for key, beam in best.items() if not beam.finished]
        levels = await asyncio.gather(
            *(
                expand(beam, params.m, first=0 if beam.steps else key[1], to_end=to_end)
                for key, beam in growing
            )
        )
        for (key, _), steps in zip(growing, levels, strict=True):
            sampled += steps
            best[key] = max(steps, key=lambda step: step.value)
    return sampled


async def timed(url: str, search: Search, problems: int, meter: Meter) -> tuple[float, set[object]]:
    """Search; return the seconds and what was sampled."""
    config = SearchConfig(
        strategy="dvts", n=64, policy=(url,), prm=(url,), check=False, concurrency=64 * problems
    )
    async with open_servers(config) as servers:
        roots = [await servers.root(f"What is ${i} + {i}$?", meter) for i in range(problems)]
        expand = Expander(servers.policy(meter), servers.prm(meter), config)
        began_s = time.perf_counter()
        sampled = await search(roots, expand, config)
        seconds = time.perf_counter() - began_s
    return seconds, {(t.problem, t.path, t.text, t.scores) for t in sampled}


def chains_s(script: Script) -> tuple[dict[int, float], Callable[[Exchange], None]]:
    """Return the server's time for each subtree so far, and what counts it."""
    chains: dict[int, float] = defaultdict(float)

    def count(exchange: Exchange) -> None:
        request, _ = exchange
        if isinstance(request, SampleRequest):
            assert request.seed is not None
            chains[request.subtree] += script.policy_s(request.seed, request.n)
        else:
            chains[request.subtree] += script.score_ms / 1000

    return chains, count


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
