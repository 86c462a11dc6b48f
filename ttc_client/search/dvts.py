"""Diverse verifier tree search (DVTS): independent subtrees, each searched greedily."""

from collections.abc import Coroutine
from itertools import chain, count
from typing import Any

from ttc_client.search.found import Found
from ttc_client.search.search import Search
from ttc_client.search.stepwise import StepwiseSettings, multiples_of_m, with_lookahead
from ttc_client.search.strategy import Strategy
from ttc_client.together import surviving
from ttc_client.types import Trajectory


async def dvts(search: Search[StepwiseSettings]) -> Found:
    """Search N/M subtrees side by side (the post, "DVTS").

    They never wait for each other: each goes on as soon as its own M steps are scored.
    """
    subtrees = await surviving(
        _subtree(search, _expand(search, search.root, 1))
        for _ in range(search.params.n // search.params.m)
    )
    sampled = tuple(chain.from_iterable(subtrees))
    return Found(sampled, search.completions(sampled))


async def _subtree(
    search: Search[StepwiseSettings], expansion: Coroutine[Any, Any, tuple[Trajectory, ...]]
) -> list[Trajectory]:
    """Sample M steps, keep the best one, expand it M ways, until it ends."""
    sampled: list[Trajectory] = []
    for depth in count(2):
        steps = await expansion
        sampled += steps
        best = max(steps, key=lambda step: step.value)
        if best.finished:
            break
        expansion = _expand(search, best, depth)
    return sampled


def _expand(
    search: Search[StepwiseSettings], parent: Trajectory, depth: int
) -> Coroutine[Any, Any, tuple[Trajectory, ...]]:
    return search.expand(
        parent,
        search.params.m,
        until=search.until(depth),
        lookahead=search.settings.lookahead,
    )


DVTS = Strategy(
    name="dvts",
    about="N/M independent subtrees, each continued from its best step",
    search=dvts,
    settings=StepwiseSettings,
    budgets=multiples_of_m,
    spends=with_lookahead,
)
