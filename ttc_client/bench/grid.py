"""Plan a bench: which searches a grid of strategies, budgets and seeds comes to.

Pure; knows nothing of problems or servers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from ttc_client.errors import ConfigError
from ttc_client.search.params import STEPWISE_STRATEGIES, SearchParams, least_n
from ttc_client.settings.config import SearchConfig
from ttc_client.types import Strategy

_PER_SEARCH = ("strategy", "n", "seed", "vote")


@dataclass(frozen=True, slots=True)
class Grid:
    """The strategies, budgets N and seeds to run every problem with."""

    strategies: tuple[Strategy, ...]
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("strategies", "budgets", "seeds"):
            values = getattr(self, name)
            if not values:
                raise ConfigError(f"the grid has no {name}: give at least one of them")
            if len(set(values)) < len(values):
                raise ConfigError(f"the grid's {name} repeat themselves: {values}")

    def searches(self, config: SearchConfig) -> tuple[SearchConfig, ...]:
        """Return the settings of each search that a problem is put through, checked.

        Beam search and DVTS run at every N from M on (the toolkit's beam search at any), and
        compute-optimal scaling from the smallest of its table on. Best-of-N runs at the largest N
        alone: its smaller budgets, and majority voting, are read off its samples. Greedy decoding
        knows no chance and runs once. Raises ConfigError for what no search can run with.
        """
        searches: list[SearchConfig] = []
        for strategy in self.strategies:
            for n in self._budgets(strategy, config):
                for seed in self.seeds[: 1 if strategy == "greedy" else None]:
                    lookahead = config.lookahead if strategy in STEPWISE_STRATEGIES else 0
                    cell = {"strategy": strategy, "n": n, "seed": seed}
                    searches.append(replace(config, **cell, lookahead=lookahead, vote=None))
        return tuple(searches)

    def _budgets(self, strategy: Strategy, config: SearchConfig) -> Sequence[int]:
        if strategy == "greedy":
            return (1,)
        if strategy not in STEPWISE_STRATEGIES:
            covered = strategy == "majority" and "best-of-n" in self.strategies
            return () if covered else (max(self.budgets),)
        if strategy == "compute-optimal":
            least, name = config.table.budgets[0].n if config.table else 1, "its table's smallest"
        else:
            least, name = least_n(strategy, config.m, config.compat), "m"
        possible = [n for n in self.budgets if n >= least]
        if not possible:
            raise ConfigError(
                f"n is {max(self.budgets)} at most and {name} is {least}: {strategy} needs n to be "
                f"at least {name}"
            )
        return possible


def shared_settings(config: SearchConfig) -> dict[str, object]:
    """Return the settings that all searches of a grid share and that decide their outcome."""
    names = [setting.name for setting in fields(SearchParams) if setting.name not in _PER_SEARCH]
    shared = {name: getattr(config, name) for name in (*names, "policy_api", "system_prompt")}
    return shared if config.strategy == "compute-optimal" else {**shared, "table": None}
