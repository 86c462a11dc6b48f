"""The table of compute-optimal scaling: how to spend a budget, by how hard a problem is.

Pure data. How a table is fitted is in `analysis.optimal`, how one is read in `table_file`.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ttc_client.errors import ConfigError
from ttc_client.types import Allocation, Reduction


@dataclass(frozen=True, slots=True)
class Choice:
    """The best way to spend a budget on the problems of a bin.

    `m` is None for strategies without a beam width. `accuracy` is that on the `num_problems` that
    the choice was fitted on, None where there were none: then it is the best one for all.
    """

    strategy: str
    m: int | None
    accuracy: float | None = None
    num_problems: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """How to spend N: this many samples for a probe, the rest by the choice of the bin it shows.

    `choices` has one for each bin, the easiest first.
    """

    n: int
    probe: int
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a table was fitted on. `settings` holds what else decided how the runs searched."""

    policy: str
    prm: str
    dataset: str
    num_problems: int
    reduction: Reduction
    settings: dict[str, Any] = field(default_factory=dict[str, Any], hash=False)


@dataclass(frozen=True, slots=True)
class Table:
    """Strategy and M for each budget and bin of difficulty (Snell et al. 2024, §3.2).

    `edges` are the mean rewards, falling, that part the bins; `budgets` grow. Raises ConfigError
    for a table that contradicts itself.
    """

    edges: tuple[float, ...]
    budgets: tuple[Budget, ...]
    origin: Origin

    def __post_init__(self) -> None:
        if not self.budgets:
            raise ConfigError("it has no budgets")
        if any(a < b for a, b in pairwise(self.edges)):
            raise ConfigError(f"its edges are {self.edges}: they must fall")
        if any(a.n >= b.n for a, b in pairwise(self.budgets)):
            raise ConfigError("its budgets must grow")
        for budget in self.budgets:
            _check_budget(budget, len(self.edges) + 1)

    def __str__(self) -> str:
        budgets = ", ".join(str(budget.n) for budget in self.budgets)
        return f"for N = {budgets}, fitted on {self.origin.dataset} for {self.origin.policy}"

    def budget(self, n: int) -> Budget:
        """Return the largest budget that is not above N; raises ConfigError below the smallest."""
        smallest = self.budgets[0].n
        if n < smallest:
            raise ConfigError(
                f"n is {n}, but the table's smallest budget is {smallest}: use n = {smallest} or "
                "more, or fit a table on runs with smaller budgets"
            )
        return max((budget for budget in self.budgets if budget.n <= n), key=lambda b: b.n)

    def choice(self, n: int, ease: float) -> Choice:
        """Return how to spend N on a problem that is so easy, from 0 to 1."""
        return self.budget(n).choices[bin_of(ease, self.edges) - 1]

    def allocate(self, n: int, reward: float) -> Allocation:
        """Say how to spend N on a problem whose probe has this mean reward, from 0 to 1.

        A tree search that has less than M left is as wide as what is left.
        """
        probe, choice = self.budget(n).probe, self.choice(n, reward)
        m = choice.m and max(1, min(choice.m, n - probe))
        return Allocation(bin_of(reward, self.edges), reward, probe, choice.strategy, m)

    def check_models(self, policy: str | None, prm: str | None) -> None:
        """Raise ConfigError if the bins are those of another policy or PRM."""
        fitted = (("policy", self.origin.policy, policy), ("PRM", self.origin.prm, prm))
        for role, known, served in fitted:
            if known != served:
                raise ConfigError(
                    f"the table was fitted for the {role} {known}, and this one is {served}: fit "
                    "one on runs with it, or use --no-check if only the name differs"
                )


def bin_of(ease: float, edges: tuple[float, ...]) -> int:
    """Return the bin of difficulty, from 1, the easiest; a problem on an edge is the easier."""
    return 1 + sum(ease < edge for edge in edges)


def _check_budget(budget: Budget, num_bins: int) -> None:
    if len(budget.choices) != num_bins:
        raise ConfigError(
            f"n = {budget.n} has {len(budget.choices)} choices, and there are {num_bins} bins"
        )
    if not 1 <= budget.probe <= budget.n:
        raise ConfigError(f"n = {budget.n} has a probe of {budget.probe}: from 1 to n are possible")
    for choice in budget.choices:
        if choice.m is not None and choice.m < 1:
            raise ConfigError(
                f"n = {budget.n} has {choice.strategy} with m = {choice.m}: at least 1"
            )
