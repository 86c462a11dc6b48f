"""First to finish: of N completions, those that end first vote."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ttc_client.errors import ConfigError
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.results import merge_alike
from ttc_client.search.search import Search
from ttc_client.search.strategy import Strategy, by_majority
from ttc_client.together import as_finished
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSettings(StrategySettings):
    """How many are waited for."""

    first: int = field(
        default=1,
        metadata={"help": "Completions that first-to-finish waits for, of N; timing decides."},
    )

    def __post_init__(self) -> None:
        check_count("first", self.first)


async def first_to_finish(search: Search[FirstSettings]) -> Found:
    """Take the first K of N completions that end by themselves, close the rest (arXiv 2505.18149).

    Short thoughts are more often right than long ones. What comes first decides, so that the
    outcome depends on timing. What is cut by length on the way is kept, and has no vote.
    """
    n, wanted = search.params.n, search.settings.first
    sampled, num_ended = list[Trajectory](), 0
    work = [search.expand(search.root, 1, until="end") for _ in range(n)]
    async with as_finished(work) as results:
        async for completions in results:
            sampled += completions
            num_ended += sum(completion.finish == "eos" for completion in completions)
            if num_ended >= wanted:
                break
    merged = merge_alike(sorted(sampled, key=lambda completion: completion.path))
    note = f"the first {num_ended} of {n} to finish: another run may take others"
    return Found(merged, search.completions(merged), note)


def _from_first_on(
    params: SearchParams, settings: FirstSettings, grid: Sequence[int]
) -> Sequence[int]:
    possible = [n for n in grid if n >= settings.first]
    if not possible:
        raise ConfigError(
            f"n is {max(grid)} and first is {settings.first}: so many never finish; raise n"
        )
    return possible


FIRST_TO_FINISH = Strategy(
    name="first-to-finish",
    about="the first K of N completions to end; what comes first depends on timing",
    search=first_to_finish,
    needs="nothing",
    settings=FirstSettings,
    budgets=_from_first_on,
    vote=by_majority,
    takes_m=False,
    is_timed=True,
)
