"""Compute-optimal scaling: spend the budget as suits the problem's difficulty."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ttc_client.errors import ConfigError
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.search import Search
from ttc_client.search.stepwise import StepwiseSettings, with_lookahead
from ttc_client.search.strategy import Strategy
from ttc_client.search.table import Table
from ttc_client.together import surviving
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings(StepwiseSettings):
    """The table to go by; `lookahead` is that of the tree searches that it chooses."""

    table: Table | None = field(
        default=None, metadata={"help": "File of ttc optimal fit, which compute-optimal goes by."}
    )

    @property
    def fitted(self) -> Table:
        """The table; raises ConfigError where there is none."""
        if self.table is None:
            raise ConfigError(
                "compute-optimal needs a table: fit one with ttc optimal fit, and name it with "
                "--table FILE"
            )
        return self.table

    def check_models(self, policy: str, prm: str | None) -> None:
        """Raise ConfigError if the table's bins are those of another policy or PRM."""
        self.fitted.check_models(policy, prm)


async def compute_optimal(search: Search[TableSettings]) -> Found:
    """Probe the problem, and search as its difficulty calls for.

    1. Sample a few whole completions, and score them. 2. Their mean reward tells the problem's
    bin of difficulty. 3. Spend the rest of N by the strategy and M that are best for that bin (the
    post, "compute-optimal scaling", after Snell et al. 2024, §3). What it cannot use, as where M
    does not divide it, becomes more completions, and so does all of it where independent ones are
    best. The probe's are candidates too; what repeats one of them stays apart from it.
    """
    n, table = search.params.n, search.settings.fitted
    size = table.budget(n).probe
    probe = await search.part("best-of-n", size)
    found = table.allocate(n, _mean_value(probe.sampled))
    m = found.m or search.params.m
    is_guided = not search.is_independent(found.strategy)
    guided = search.room_for(found.strategy, n - size, m=m) if is_guided else 0
    parts = [("best-of-n", n - size - guided), (found.strategy, guided)]
    rest = [search.part(name, part, m=m) for name, part in parts if part]
    searched = await surviving([_given(probe), *rest])
    sampled = tuple(chain.from_iterable(part.sampled for part in searched))
    largest = table.budgets[-1].n
    note = f"the table was fitted up to N = {largest}: its choices there are used for {n}"
    picks = tuple(chain.from_iterable(part.picks for part in searched))
    return Found(sampled, picks, note if n > largest else "", allocation=found)


async def _given(found: Found) -> Found:
    """Return what is there already, whatever happens to the rest."""
    return found


def _mean_value(completions: Iterable[Trajectory]) -> float:
    values = [c.value for c in completions for _ in range(c.multiplicity)]
    return sum(values) / len(values)


def _from_the_smallest_on(
    params: SearchParams, settings: TableSettings, grid: Sequence[int]
) -> Sequence[int]:
    """Return the budgets of a grid that the table covers, after a check of what it needs."""
    table = settings.fitted
    if params.reduction != table.origin.reduction:
        raise ConfigError(
            f"reduction is {params.reduction}, but the table's bins are of rewards by "
            f"{table.origin.reduction}: use that"
        )
    possible = [n for n in grid if n >= table.budgets[0].n]
    if not possible:
        table.budget(max(grid))  # raises, with what is possible
    return possible


COMPUTE_OPTIMAL = Strategy(
    name="compute-optimal",
    about="a probe tells how hard the problem is; the rest of N goes to what is best for that",
    search=compute_optimal,
    settings=TableSettings,
    budgets=_from_the_smallest_on,
    spends=with_lookahead,
)
