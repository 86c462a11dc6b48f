"""Measure how much of what two vLLM servers can do a search gets out of them, and its prefix reuse.

Problems are searched all at once, and what the search asked is recorded. Then the very requests
that were answered are sent once more, without a search: as saturating load, to both servers at
once, in the order of their answers, 256 sequences in flight at each. Their seeds make the policy
generate the same tokens again; both prefix caches are emptied before either, and the counters
show that as many tokens were found there. The ratio is the search's wall time over that of the
load. Rounds alternate, and the median ratio counts.

Reuse is the share of prompt tokens that the servers' counters call cached, of all, and of those
that a cache of whole blocks could have held when they were asked for.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from tokenizers import Tokenizer

from scripts.bench.vllm_cpu import (
    MODELS,
    VLLM,
    Counters,
    add_options,
    cpu_servers,
    numbers,
    parse,
    run,
)
from ttc_client import Client, SearchParams, Servers
from ttc_client.clients.formats import RLHFLOW, questions
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_client.middleware.limits import Limiter
from ttc_client.middleware.meter import Exchange, Meter
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest
from ttc_servers.demomath import generate

STRATEGIES = ("dvts", "best-of-n", "beam")
TARGETS = {"dvts": 1.15, "best-of-n": 1.15, "beam": 1.3}
SATURATING = 256
"""Sequences in flight at each server under plain load."""

Body = tuple[int, bytes]
"""How many sequences a request is, and its JSON."""


def sample_body(request: SampleRequest) -> Body:
    """Return a request to the policy as the client sends it."""
    body = {
        "prompt": request.trajectory.token_ids,
        "n": request.n,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "stop": request.stop,
        "include_stop_str_in_output": True,
        "return_token_ids": True,
        "seed": request.seed,
    }
    return request.num_sequences, msgspec.json.encode(body)


def score_body(request: ScoreRequest, labels: Sequence[int]) -> Body:
    """Return a request to the PRM as the client sends it."""
    shared, rests = questions(RLHFLOW, request)
    body = {"query": shared, "items": rests, "label_token_ids": labels, "apply_softmax": True}
    return request.num_sequences, msgspec.json.encode(body)


class BlockCache:
    """A prefix cache of whole blocks that forgets nothing: what a server's could have held."""

    def __init__(self, block_size: int) -> None:
        self.block_size = block_size
        self._known: set[int] = set()

    def cached(self, ids: Sequence[int]) -> int:
        """Return how many of a prompt's tokens are known; the last is always computed."""
        blocks = self._blocks(ids[:-1])
        known = next((i for i, block in enumerate(blocks) if block not in self._known), len(blocks))
        return known * self.block_size

    def add(self, ids: Sequence[int]) -> None:
        """Take note of what was computed."""
        self._known.update(self._blocks(ids))

    def _blocks(self, ids: Sequence[int]) -> list[int]:
        """Name each whole block by all tokens up to its end."""
        names, before = list[int](), 0
        for start in range(0, len(ids) - self.block_size + 1, self.block_size):
            before = hash((before, tuple(ids[start : start + self.block_size])))
            names.append(before)
        return names


def reusable_by_policy(exchanges: Iterable[Exchange], block_size: int) -> int:
    """Return how many prompt tokens of the policy's sequences could be cached."""
    cache, reusable = BlockCache(block_size), 0
    for _, reply in exchanges:
        if isinstance(reply, Samples):
            for step in filter(None, reply.steps):
                reusable += cache.cached(reply.prompt_ids)
                cache.add(reply.prompt_ids + step.token_ids[:-1])
    return reusable


def reusable_by_prm(exchanges: Iterable[Exchange], block_size: int) -> int:
    """Return how many prompt tokens of the PRM's sequences could be cached."""
    tokenizer = Tokenizer.from_file(str(MODELS / "prm" / "tokenizer.json"))
    cache, reusable = BlockCache(block_size), 0
    for request, _ in exchanges:
        if isinstance(request, ScoreRequest):
            shared, rests = questions(RLHFLOW, request)
            for rest in rests:
                ids = tokenizer.encode(shared + rest).ids
                reusable += cache.cached(ids)
                cache.add(ids)
    return reusable


class Round:
    """A search and the same requests as plain load, once each."""

    def __init__(
        self,
        policy: VLLM,
        prm: VLLM,
        client: Client,
        params: SearchParams,
        labels: Sequence[int],
    ) -> None:
        self.policy, self.prm, self.labels = policy, prm, labels
        self.client, self.params = client, params
        self.exchanges: list[Exchange] = []

    async def run(self, problems: Sequence[str]) -> dict[str, Any]:
        """Return the times in seconds and what either side had the servers do."""
        search_s, searched = await self._timed(
            [
                self.client.solve(problem, self.params, meter=Meter(self.exchanges.append))
                for problem in problems
            ]
        )
        requests = [request for request, _ in self.exchanges]
        samples = [sample_body(r) for r in requests if isinstance(r, SampleRequest)]
        scores = [score_body(r, self.labels) for r in requests if isinstance(r, ScoreRequest)]
        load_s, loaded = await self._timed(
            [
                self._load(self.policy, "/v1/completions", samples),
                self._load(self.prm, "/generative_scoring", scores),
            ]
        )
        return {
            "search_s": search_s,
            "load_s": load_s,
            "ratio": search_s / load_s,
            "policy": await self._work(self.policy, searched[0], loaded[0], reusable_by_policy),
            "prm": await self._work(self.prm, searched[1], loaded[1], reusable_by_prm),
        }

    async def _timed(self, work: Sequence[Any]) -> tuple[float, list[Counters]]:
        """Return the seconds that work takes on empty caches, and what the servers then did."""
        servers = (self.policy, self.prm)
        for server in servers:
            await server.forget()
        before = [await server.counters() for server in servers]
        start = time.perf_counter()
        await asyncio.gather(*work)
        seconds = time.perf_counter() - start
        after = [await server.counters() for server in servers]
        return seconds, [now.since(then) for now, then in zip(after, before, strict=True)]

    async def _load(self, server: VLLM, path: str, bodies: Sequence[Body]) -> None:
        limiter = Limiter(SATURATING)

        async def send(num_sequences: int, body: bytes) -> None:
            async with limiter.slots(num_sequences):
                await server.post(path, body)

        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(send(*body))

    async def _work(
        self, server: VLLM, searched: Counters, loaded: Counters, reusable: Any
    ) -> dict[str, Any]:
        possible = reusable(self.exchanges, await server.block_size())
        return {
            "search": searched._asdict(),
            "load": loaded._asdict(),
            "cached_of_all": searched.cached / searched.prompt,
            "cached_of_possible": searched.cached / possible,
        }


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row per strategy and N, printing each as it comes."""
    problems = [p.problem for p in generate("validation", options.problems, options.seed)]
    rows: list[dict[str, Any]] = []
    async with cpu_servers(options.policy, options.prm) as (policy, prm):
        labels = [await prm.last_token(label) for label in RLHFLOW_VERDICTS]
        for n in options.n:
            for strategy in options.strategies:
                params = SearchParams(strategy=strategy, n=n, max_completion_tokens=600)
                servers = Servers(
                    policy=(policy.url,), prm=(prm.url,), concurrency=options.concurrency
                )
                async with Client(servers) as client:
                    await client.solve(problems[0], params)  # loads SymPy, opens connections
                    rounds = [
                        await Round(policy, prm, client, params, labels).run(problems)
                        for _ in range(options.rounds)
                    ]
                ratio = statistics.median(one["ratio"] for one in rounds)
                rows.append({"strategy": strategy, "n": n, "ratio": ratio, "rounds": rounds})
                show(rows[-1], header=len(rows) == 1)
    return rows


def show(row: dict[str, Any], *, header: bool) -> None:
    """Print a row of the table."""
    if header:
        print(f"{'':14}{'N':>4}{'search':>10}{'load':>8}{'ratio':>8}{'target':>8}", end="")
        print(f"{'policy tokens':>15}{'cached':>8}{'of poss.':>9}{'PRM cached':>12}{'of poss.':>9}")
    last = row["rounds"][-1]
    walls = [statistics.median(one[name] for one in row["rounds"]) for name in WALLS]
    print(f"{row['strategy']:14}{row['n']:>4}{walls[0]:>8.1f} s{walls[1]:>6.1f} s", end="")
    print(f"{row['ratio']:>8.2f}{TARGETS[row['strategy']]:>8.2f}", end="")
    print(f"{last['policy']['search']['generated']:>15}", end="")
    for server, width in (("policy", 8), ("prm", 12)):
        print(f"{last[server]['cached_of_all']:>{width}.1%}", end="")
        print(f"{last[server]['cached_of_possible']:>9.1%}", end="")
    print(flush=True)


WALLS = ("search_s", "load_s")


def main() -> None:
    """Parse the command line, measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--strategies", type=lambda text: text.split(","), default=STRATEGIES)
    parser.add_argument("-n", type=numbers, default=[64], help="budgets (default: 64)")
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument(
        "--concurrency",
        type=lambda text: text if text == "auto" else int(text),
        default="auto",
        help="of the search (default: auto, as everywhere)",
    )
    options = parse(parser)
    if unknown := set(options.strategies) - set(STRATEGIES):
        parser.error(f"no such strategy: {', '.join(unknown)}; known are {', '.join(STRATEGIES)}")
    rows = run(parser, options, measure(options))
    if missed := [row for row in rows if row["ratio"] > TARGETS[row["strategy"]]]:
        print(f"{len(missed)} of {len(rows)} above their target", file=sys.stderr)


if __name__ == "__main__":
    main()
