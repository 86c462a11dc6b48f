"""Recursive self-aggregation: solutions made of several earlier ones, round after round."""

import asyncio
from asyncio import Future
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.search import Search
from ttc_client.search.strategy import Strategy, by_majority, chains, multiples
from ttc_client.search.thinking import response
from ttc_client.together import surviving
from ttc_client.types import Message, Trajectory

_ASK = (
    "Below are candidate solutions. Some may be wrong. Combine what is right in them into one "
    "better solution, in the form asked for above."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationSettings(StrategySettings):
    """How many rounds, and how many solutions each new one is made of."""

    rounds: int = field(
        default=4,
        metadata={"help": "Rounds of aggregation, the first solutions included; N/T in each."},
    )
    aggregate: int = field(
        default=4, metadata={"help": "How many solutions are combined into each new one."}
    )

    def __post_init__(self) -> None:
        check_count("rounds", self.rounds)
        check_count("aggregate", self.aggregate)


def _large_enough(
    params: SearchParams, settings: AggregationSettings, grid: Sequence[int]
) -> Sequence[int]:
    """Return the budgets that `rounds` divides, with `aggregate` solutions in each."""
    least = settings.rounds * settings.aggregate
    if max(grid) < least:
        raise ConfigError(
            f"n is {max(grid)}, rounds is {settings.rounds} and aggregate is "
            f"{settings.aggregate}: rsa needs n to be {least} or more"
        )
    return multiples(params, grid, "rounds", settings.rounds, least)


Population = list[Future[Trajectory | None]]
"""The solutions of a round; None for one that will never be there."""


async def rsa(search: Search[AggregationSettings]) -> Found:
    """Combine K of a population of N/T into each member of the next (RSA, arXiv 2509.26626).

    Who is combined is drawn beforehand, so that a solution waits for its own K alone, not for the
    whole round. It is a node below the one in whose place it comes. The last ones vote.
    """
    rounds, loop = search.settings.rounds, asyncio.get_running_loop()
    size = range(search.params.n // rounds)
    made: list[Population] = [[loop.create_future() for _ in size] for _ in range(rounds)]
    drawn = [[search.rng.sample(size, search.settings.aggregate) for _ in size] for _ in made[1:]]
    lines = await surviving(_line(search, i, made, [row[i] for row in drawn]) for i in size)
    note = f"{len(lines)} solutions vote: the last of {rounds} rounds"
    return Found(tuple(chain.from_iterable(lines)), [Pick(line[-1]) for line in lines], note)


async def _line(
    search: Search[Any], place: int, made: Sequence[Population], drawn: Sequence[Sequence[int]]
) -> Sequence[Trajectory]:
    """Write what has one place in all populations; a request that fails ends the line."""
    written: list[Trajectory] = []
    try:
        written += await search.expand(search.root, 1, until="end")
        with suppress(ServerError):
            for population, members in zip(made, drawn, strict=False):
                population[place].set_result(written[-1])
                drawn_now = [await population[member] for member in members]
                solutions = [s for s in drawn_now if s] or written[-1:]
                shown = _shown(search.root.prompt.messages, solutions)
                prompt = await search.ask(shown, after=written[-1])
                written += await search.expand(prompt, 1, until="end")
    finally:
        for population in made[len(written) :]:
            population[place].set_result(None)
    return written


def _shown(messages: Sequence[Message], solutions: Iterable[Trajectory]) -> list[Message]:
    """Return the task's prompt with candidate solutions after the question."""
    *before, question = messages
    listed = [f"Solution {i}:\n{response(found).strip()}" for i, found in enumerate(solutions, 1)]
    return [*before, replace(question, content="\n\n".join([question.content, _ASK, *listed]))]


RSA = Strategy(
    name="rsa",
    about="combines several solutions into each of the next round; needs no verifier",
    search=rsa,
    needs="nothing",
    settings=AggregationSettings,
    samples=chains,
    budgets=_large_enough,
    vote=by_majority,
    takes_m=False,
)
