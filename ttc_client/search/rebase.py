"""REBASE: each depth's budget goes to partial solutions by their rewards."""

from collections.abc import Sequence
from itertools import accumulate, chain, count, islice
from math import ceil, exp
from typing import Any

from ttc_client.search.found import Found
from ttc_client.search.search import Search
from ttc_client.search.stepwise import best_first, num_completions
from ttc_client.search.strategy import Strategy
from ttc_client.together import surviving
from ttc_client.types import Trajectory

_TEMPERATURE = 0.2
_ROUNDING = 1e-9


async def rebase(search: Search[Any]) -> Found:
    """Share the budget over all open nodes of a depth (REBASE, Wu et al. 2024, arXiv 2408.00724).

    A completion takes its part of the budget with it: N of them end the search.
    """
    budget = search.params.n
    level: Sequence[Trajectory] = await search.expand(search.root, budget, until=search.until(1))
    sampled = list(level)
    for depth in count(2):
        budget -= num_completions(level)
        widths = _widths([t for t in level if not t.finished], budget)
        if not widths:
            break
        groups = await surviving(
            (search.expand(node, k, until=search.until(depth)) for node, k in widths),
            needed=not num_completions(sampled),
        )
        level = tuple(chain.from_iterable(groups))
        sampled += level
    return Found(sampled, search.completions(sampled))


def _widths(nodes: Sequence[Trajectory], budget: int) -> list[tuple[Trajectory, int]]:
    """Return into how many children each node is expanded, the best one first.

    A node gets its share, by exp(reward / 0.2), of what is left for it and the worse ones, rounded
    up. One that was sampled several times gets as many shares, in one expansion.
    """
    ranked = sorted(nodes, key=best_first)
    weights = [exp(node.value / _TEMPERATURE) for node in ranked for _ in range(node.multiplicity)]
    totals = list(accumulate(reversed(weights)))[::-1]
    widths: list[int] = []
    for weight, total in zip(weights, totals, strict=True):
        widths.append(min(budget, ceil(budget * weight / total - _ROUNDING)))
        budget -= widths[-1]
    given = iter(widths)
    of_nodes = [(node, sum(islice(given, node.multiplicity))) for node in ranked]
    return [(node, width) for node, width in of_nodes if width]


REBASE = Strategy(
    name="rebase",
    about="shares each depth's budget over all partial solutions, by exp(reward / 0.2)",
    search=rebase,
    takes_m=False,
)
