"""The search strategies: pure functions over a policy and a PRM, one file each."""

from collections.abc import Awaitable, Callable

from ttc_client.search.beam import beam
from ttc_client.search.best_of_n import best_of_n
from ttc_client.search.compute_optimal import compute_optimal
from ttc_client.search.dvts import dvts
from ttc_client.search.expand import Expander
from ttc_client.search.greedy import greedy
from ttc_client.search.params import SearchParams
from ttc_client.types import Strategy, Trajectory

STRATEGIES: dict[
    Strategy,
    Callable[[Trajectory, Expander, SearchParams], Awaitable[tuple[Trajectory, ...]]],
] = {
    "greedy": greedy,
    "majority": best_of_n,
    "best-of-n": best_of_n,
    "beam": beam,
    "dvts": dvts,
    "compute-optimal": compute_optimal,
}
"""Each returns every trajectory it sampled: the tree, whose finished ones are the completions."""

__all__ = ["STRATEGIES", "Expander"]
