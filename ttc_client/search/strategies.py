"""The table of strategies. A new one is a file with its record, and a line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from ttc_client.errors import ConfigError, did_you_mean
from ttc_client.search.beam import BEAM
from ttc_client.search.best_of_n import BEST_OF_N, MAJORITY
from ttc_client.search.compute_optimal import COMPUTE_OPTIMAL
from ttc_client.search.deepconf import DEEPCONF
from ttc_client.search.dvts import DVTS
from ttc_client.search.first_to_finish import FIRST_TO_FINISH
from ttc_client.search.greedy import GREEDY
from ttc_client.search.mcts import MCTS
from ttc_client.search.particles import PARTICLES
from ttc_client.search.rebase import REBASE
from ttc_client.search.rejection import REJECTION
from ttc_client.search.revise import REVISE
from ttc_client.search.rsa import RSA
from ttc_client.search.strategy import Strategy

Table = Mapping[str, Strategy[Any]]

STRATEGIES: Final[dict[str, Strategy[Any]]] = {
    strategy.name: strategy
    for strategy in (
        *(GREEDY, BEST_OF_N, MAJORITY, BEAM, DVTS, COMPUTE_OPTIMAL),
        *(PARTICLES, REBASE, MCTS, REVISE, RSA),
        *(REJECTION, FIRST_TO_FINISH, DEEPCONF),
    )
}
"""By name, in the order in which help, tables and figures show them."""


def find_strategy(name: str, among: Table = STRATEGIES) -> Strategy[Any]:
    """Return a strategy by its name in the table, or as `module:name` from elsewhere.

    Raises ConfigError, with the nearest name, for one that there is not.
    """
    if name in among:
        return among[name]
    if ":" in name:
        return _imported(name)
    hint = did_you_mean(name, among)
    raise ConfigError(f"strategy is {name!r}: it must be one of {', '.join(among)}{hint}")


def unscored_twin(strategy: Strategy[Any]) -> Strategy[Any]:
    """Return the strategy that takes the same samples without a verifier; itself if there is none.

    Its results can be read off those of the other.
    """
    twins = (s for s in STRATEGIES.values() if s.search is strategy.search and s.needs == "nothing")
    return next(twins, strategy)


def _imported(name: str) -> Strategy[Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"strategy is {name!r}, which cannot be imported: {error}") from error
    if not isinstance(found, Strategy):
        raise ConfigError(f"strategy is {name!r}, which is no Strategy but {found!r}")
    return cast(Strategy[Any], found)
