"""Greedy decoding: the baseline that every strategy is compared with."""

from collections.abc import Sequence
from typing import Any

from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.search import Search
from ttc_client.search.strategy import Kind, Strategy, by_majority


async def greedy(search: Search[Any]) -> Found:
    """Return the one completion at T=0."""
    sampled = await search.expand(search.root, 1, until="end", temperature=0.0)
    return Found(sampled, search.completions(sampled))


def _one(params: SearchParams, settings: Any, grid: Sequence[int]) -> Sequence[int]:
    return (1,)


def _fixed(params: SearchParams, settings: Any) -> Kind:
    return "fixed"


GREEDY = Strategy(
    name="greedy",
    about="one completion at T=0, the baseline",
    search=greedy,
    needs="nothing",
    samples=_fixed,
    budgets=_one,
    vote=by_majority,
)
