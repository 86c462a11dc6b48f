"""What the gateway costs beside the client alone, and whether it answers the same.

    python -m scripts.bench.gateway --problems 100

The same searches of DemoMath's test problems, by turns through the library and through a gateway
in front of the same demo servers, with the same seeds. Prints how many answers and votes differ,
the wall time of both, and the CPU of this process: with the gateway, that of the gateway and of
its caller too, whatever else runs on the machine. Exits with 1 if an answer differs.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import aiohttp

from ttc_client import Client, SearchParams, Servers
from ttc_client.bench.dataset import load_problems
from ttc_client.gateway.server import Serving, gateway_for, listening
from ttc_client.settings.config import load_settings
from ttc_client.settings.endpoints import demo_servers
from ttc_client.tasks.math import Math

PROFILE = "hard=dvts:16,task=math,max-completion-tokens=600"
PARAMS = SearchParams(strategy="dvts", n=16, max_completion_tokens=600)


class Times(NamedTuple):
    """The seconds of each search, on the clock and of this process's CPU."""

    wall: list[float]
    cpu: list[float]


async def compare(problems: Sequence[str]) -> tuple[int, Times, Times]:
    """Return how many outcomes differ, and the seconds of each search alone and by the gateway."""
    different, alone, served = 0, Times([], []), Times([], [])
    async with demo_servers() as (policy, prm):
        servers = Servers(policy=policy, prm=prm)
        settings = replace(load_settings({}, {}), servers=servers)
        serving = Serving(port=0, profiles=(PROFILE,))
        async with (
            Client(servers) as client,
            gateway_for(serving, settings) as gateway,
            listening(gateway, serving) as url,
            aiohttp.ClientSession() as session,
        ):
            for number, problem in enumerate(problems):
                body = {
                    "model": f"{gateway.searches.model}:hard",
                    "messages": [{"role": "user", "content": problem}],
                }
                outcomes: list[Any] = [None, None]
                for turn in (number % 2, 1 - number % 2):
                    began_s, began_cpu_s = time.perf_counter(), time.process_time()
                    if turn:
                        async with session.post(url + "/v1/chat/completions", json=body) as reply:
                            told = (await reply.json())["ttc"]
                        votes = [(group["answer"], group["votes"]) for group in told["answers"]]
                        outcomes[1] = told["answer"], votes
                    else:
                        found = await client.solve(problem, PARAMS)
                        votes = [(group.answer, group.votes) for group in found.answers]
                        outcomes[0] = found.answer, votes
                    times = served if turn else alone
                    times.wall.append(time.perf_counter() - began_s)
                    times.cpu.append(time.process_time() - began_cpu_s)
                different += outcomes[0] != outcomes[1]
    return different, alone, served


def main() -> int:
    """Compare, and print what comes out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    args = parser.parse_args()
    problems = [problem.question for problem in load_problems("demomath", Math())][: args.problems]
    different, alone, served = asyncio.run(compare(problems))
    print(f"{len(problems)} problems: {different} outcomes differ")
    for name in Times._fields:
        without, by = getattr(alone, name), getattr(served, name)
        print(f"{name}: client alone {sum(without):.1f} s, through the gateway {sum(by):.1f} s")
        more = [two - one for one, two in zip(without, by, strict=True)]
        ratios = [two / one for one, two in zip(without, by, strict=True)]
        print(f"  medians: ratio {statistics.median(ratios):.3f}, ", end="")
        print(f"{1000 * statistics.median(more):+.1f} ms a search")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
