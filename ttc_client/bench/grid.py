"""Plan a bench: which searches a grid of strategies, budgets and seeds comes to.

Pure; knows nothing of problems or servers.
"""

from dataclasses import dataclass, fields
from typing import Any

from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams
from ttc_client.search.strategy import Strategy
from ttc_client.settings.config import PARAMS, Settings
from ttc_client.tasks.table import OPTIONS

CELL = ("strategy", "n", "seed", "vote")
"""What one search of a grid differs in from the next."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The strategies, budgets N and seeds to run every problem with."""

    strategies: tuple[str, ...]
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("strategies", "budgets", "seeds"):
            values = getattr(self, name)
            if not values:
                raise ConfigError(f"the grid has no {name}: give at least one of them")
            if len(set(values)) < len(values):
                raise ConfigError(f"the grid's {name} repeat themselves: {values}")

    def searches(self, settings: Settings) -> tuple[SearchParams, ...]:
        """Return the params of each search that a problem is put through, checked.

        Each strategy says at which N of the grid it runs. Majority voting is read off the samples
        of best-of-n where both are asked for. Greedy decoding knows no chance and runs once.
        Raises ConfigError for what no search can run with.
        """
        vote = _tournament(settings).get("vote")
        settings.check_own(self.strategies)
        cells = [settings.cell(strategy=name, n=max(self.budgets)) for name in self.strategies]
        searches: list[SearchParams] = []
        for strategy, params in cells:
            own = strategy.settings_of(params)
            kind = strategy.samples(params, own)
            if kind == "independent" and any(_covers(other, strategy) for other, _ in cells):
                continue
            searches += [
                settings.params_for(strategy=params.strategy, n=n, seed=seed, vote=vote)
                for n in strategy.budgets(params, own, self.budgets)
                for seed in self.seeds[: 1 if kind == "fixed" else None]
            ]
        return tuple(searches)

    def settings(self, settings: Settings) -> dict[str, Any]:
        """Return what all searches of the grid share and what decides their outcome.

        `own` holds by strategy the settings that belong to it alone.
        """
        values = settings.values
        shared = {name: values[name] for name in PARAMS if name not in CELL}
        shared |= _tournament(settings)
        own = {name: _own(settings.cell(strategy=name)[1]) for name in self.strategies}
        known = [name for name in OPTIONS if hasattr(settings.task, name)]
        task = {
            name: getattr(settings.task, name, None)
            for name in ("name", "system_prompt", "grader_name", *known)
        }
        policy_api = settings.servers.policy_api
        return {**shared, "policy_api": policy_api, "task": task, "own": own}


def _tournament(settings: Settings) -> dict[str, Any]:
    """Return the vote where it costs searches of their own; all others are read off each search.

    Raises ConfigError for a flag that names one of those.
    """
    vote = settings.values["vote"]
    if vote == "tournament":
        return {"vote": vote}
    if vote is not None and settings.origins["vote"] == "flag":
        raise ConfigError(f"vote is {vote}, but a bench counts every vote: leave it out")
    return {}


def _own(params: SearchParams) -> dict[str, Any]:
    own = params.settings
    return {} if own is None else {field.name: getattr(own, field.name) for field in fields(own)}


def _covers(one: Strategy[Any], other: Strategy[Any]) -> bool:
    """Whether the samples of one strategy are those of another, with scores besides."""
    return one.search is other.search and one.needs != other.needs == "nothing"
