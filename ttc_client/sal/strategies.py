"""The toolkit's strategies as records, in the place of those of the same names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from ttc_client.sal import searches
from ttc_client.search.beam import BEAM
from ttc_client.search.best_of_n import BEST_OF_N, MAJORITY
from ttc_client.search.dvts import DVTS
from ttc_client.search.greedy import GREEDY
from ttc_client.search.params import SearchParams, StrategySettings
from ttc_client.search.stepwise import StepwiseSettings, multiples_of_m
from ttc_client.search.strategy import Strategy, independent, largest_budget


def _any_n(params: SearchParams, settings: Any, grid: Sequence[int]) -> Sequence[int]:
    """Run at every N: it need not be a multiple of M."""
    return grid


def _whole(strategy: Strategy[Any]) -> Strategy[Any]:
    """Return the toolkit's version of a strategy that samples whole completions: all of them."""
    return replace(
        strategy,
        search=searches.best_of_n,
        settings=StrategySettings,
        samples=independent,
        budgets=largest_budget,
    )


STRATEGIES: Final[dict[str, Strategy[Any]]] = {
    strategy.name: strategy
    for strategy in (
        replace(GREEDY, search=searches.greedy),
        _whole(MAJORITY),
        _whole(BEST_OF_N),
        replace(BEAM, search=searches.beam, budgets=_any_n),
        replace(DVTS, search=searches.dvts, settings=StepwiseSettings, budgets=multiples_of_m),
    )
}
