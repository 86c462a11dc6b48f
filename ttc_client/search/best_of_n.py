"""Best-of-N and majority voting: independent completions, told apart by how they are judged."""

from collections.abc import Sequence
from itertools import chain

from ttc_client.search.adaptive import StopSettings, until_decided
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.results import merge_alike
from ttc_client.search.search import Search
from ttc_client.search.strategy import Kind, Strategy, by_majority
from ttc_client.together import surviving


async def best_of_n(search: Search[StopSettings]) -> Found:
    """Sample N whole completions, scored as soon as they are written (the post, "Best-of-N").

    Majority voting (Wang et al. 2022) is the same without a verifier. They are sampled M to a
    request, so that the first are scored while others are still being written; one to a request
    where they may stop early.
    """
    n, settings = search.params.n, search.settings
    size = search.params.m if settings.stop_at is None else 1
    work = (search.expand(search.root, min(size, n - i), until="end") for i in range(0, n, size))
    if settings.stop_at is None:
        groups, note = await surviving(work), ""
    else:
        groups, note = await until_decided(search, settings, work, n)
    sampled = merge_alike(chain.from_iterable(groups))
    return Found(sampled, search.completions(sampled), note)


def _samples(params: SearchParams, settings: StopSettings) -> Kind:
    """Stopped early, they are no random subset of N."""
    return "independent" if settings.stop_at is None else "tree"


def _budgets(params: SearchParams, settings: StopSettings, grid: Sequence[int]) -> Sequence[int]:
    """Run at the largest N alone, off which the smaller ones are read; stopped, at each."""
    settings.check_vote(params)
    return (max(grid),) if settings.stop_at is None else grid


BEST_OF_N = Strategy(
    name="best-of-n",
    about="N completions, scored by the verifier",
    search=best_of_n,
    needs="solutions",
    settings=StopSettings,
    samples=_samples,
    budgets=_budgets,
    takes_m=False,
)

MAJORITY = Strategy(
    name="majority",
    about="N completions, the most frequent answer; needs no verifier",
    search=best_of_n,
    needs="nothing",
    settings=StopSettings,
    samples=_samples,
    budgets=_budgets,
    vote=by_majority,
    takes_m=False,
)
