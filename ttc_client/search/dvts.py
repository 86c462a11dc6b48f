"""Diverse verifier tree search (DVTS): independent subtrees, each searched greedily."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count

from ttc_client.errors import ServerError
from ttc_client.search.adaptive import StopSettings, until_decided
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.results import completions
from ttc_client.search.search import Search
from ttc_client.search.stepwise import StepwiseSettings, multiples_of_m, with_lookahead
from ttc_client.search.strategy import Strategy
from ttc_client.together import surviving
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtreeSettings(StepwiseSettings, StopSettings):
    """How far each step is looked ahead from, and when to stop early."""

    def __post_init__(self) -> None:
        StepwiseSettings.__post_init__(self)
        StopSettings.__post_init__(self)


async def dvts(search: Search[SubtreeSettings]) -> Found:
    """Search N/M subtrees side by side (the post, "DVTS").

    They never wait for each other: each goes on as soon as its own M steps are scored. Where they
    may stop early, the best M completions of each vote.
    """
    num, m = search.params.n // search.params.m, search.params.m
    work = (_subtree(search) for _ in range(num))
    if search.settings.stop_at is None:
        sampled = tuple(chain.from_iterable(await surviving(work)))
        return Found(sampled, search.completions(sampled))
    subtrees, note = await until_decided(search, search.settings, work, num, m)
    picks = [pick for subtree in subtrees for pick in completions(subtree, m)]
    return Found(tuple(chain.from_iterable(subtrees)), picks, note and f"{note} subtrees")


async def _subtree(search: Search[SubtreeSettings]) -> list[Trajectory]:
    """Sample M steps, keep the best one, expand it M ways, until it ends.

    A request that fails ends the subtree, not what it holds already.
    """
    best, sampled = search.root, list[Trajectory]()
    for depth in count(1):
        try:
            steps = await search.expand(
                best,
                search.params.m,
                until=search.until(depth),
                lookahead=search.settings.lookahead,
            )
        except ServerError:
            if not any(step.finished for step in sampled):
                raise
            break
        sampled += steps
        best = max(steps, key=lambda step: step.value)
        if best.finished:
            break
    return sampled


def _budgets(params: SearchParams, settings: SubtreeSettings, grid: Sequence[int]) -> Sequence[int]:
    settings.check_vote(params)
    return multiples_of_m(params, settings, grid)


DVTS = Strategy(
    name="dvts",
    about="N/M independent subtrees, each continued from its best step",
    search=dvts,
    settings=SubtreeSettings,
    budgets=_budgets,
    spends=with_lookahead,
)
