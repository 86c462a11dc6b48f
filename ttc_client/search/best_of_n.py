"""Best-of-N and majority voting: independent completions, told apart by how they are judged."""

from itertools import chain
from typing import Any

from ttc_client.search.found import Found
from ttc_client.search.results import merge_alike
from ttc_client.search.search import Search
from ttc_client.search.strategy import Strategy, by_majority, independent, largest_budget
from ttc_client.together import surviving


async def best_of_n(search: Search[Any]) -> Found:
    """Sample N whole completions, scored as soon as they are written (the post, "Best-of-N").

    Majority voting (Wang et al. 2022) is the same without a verifier. They are sampled M to a
    request, so that the first are scored while others are still being written.
    """
    n, m = search.params.n, search.params.m
    groups = await surviving(
        search.expand(search.root, min(m, n - i), until="end") for i in range(0, n, m)
    )
    sampled = merge_alike(chain.from_iterable(groups))
    return Found(sampled, search.completions(sampled))


BEST_OF_N = Strategy(
    name="best-of-n",
    about="N completions, scored by the verifier",
    search=best_of_n,
    needs="solutions",
    samples=independent,
    budgets=largest_budget,
)

MAJORITY = Strategy(
    name="majority",
    about="N completions, the most frequent answer; needs no verifier",
    search=best_of_n,
    needs="nothing",
    samples=independent,
    budgets=largest_budget,
    vote=by_majority,
)
