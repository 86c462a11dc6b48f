"""Compute-optimal scaling: spend the budget as suits the problem's difficulty."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from ttc_client.search.beam import beam
from ttc_client.search.best_of_n import best_of_n
from ttc_client.search.dvts import dvts
from ttc_client.search.expand import Expander
from ttc_client.search.params import SearchParams
from ttc_client.search.table import Table
from ttc_client.together import both
from ttc_client.types import Allocation, Strategy, Trajectory

_SEARCHES = {"best-of-n": best_of_n, "beam": beam, "dvts": dvts}


async def compute_optimal(
    root: Trajectory, expand: Expander, params: SearchParams
) -> tuple[Trajectory, ...]:
    """Return all trajectories of a probe and of the search that it calls for.

    1. Sample a few whole completions, and score them. 2. Their mean reward tells the problem's
    bin of difficulty. 3. Spend the rest of N by the strategy and M that are best for that bin (the
    post, "compute-optimal scaling", after Snell et al. 2024, §3). What M does not divide becomes
    more completions, and so does all of it for majority voting. The probe's are candidates too;
    what repeats one of them stays apart from it, so that `allocation` can be read off later.
    """
    if params.table is None:
        raise ValueError("compute-optimal scaling needs a table")
    n, size = params.n, params.table.budget(params.n).probe
    probe = await _search(root, expand, params, range(size))
    found = _allocate(probe, params.table, n)
    tree = n - (n - size) // found.m * found.m if found.m else n
    rest = await both(
        _search(root, expand, params, range(size, tree)),
        _search(root, expand, params, range(tree, n), found.strategy, found.m),
    )
    return (*probe, *chain.from_iterable(rest))


def allocation(sampled: Iterable[Trajectory], params: SearchParams) -> Allocation | None:
    """Read off the samples what compute-optimal scaling found; None for other strategies."""
    if params.strategy != "compute-optimal" or params.table is None:
        return None
    size = params.table.budget(params.n).probe
    probe = [t for t in sampled if len(t.path) == 1 and t.path[0] < size]
    return _allocate(probe, params.table, params.n)


def _allocate(probe: Iterable[Trajectory], table: Table, n: int) -> Allocation:
    values = [completion.value for completion in probe for _ in range(completion.multiplicity)]
    return table.allocate(n, sum(values) / len(values))


async def _search(
    root: Trajectory,
    expand: Expander,
    params: SearchParams,
    places: range,
    strategy: Strategy = "best-of-n",
    m: int | None = None,
) -> tuple[Trajectory, ...]:
    """Search with a part of the budget, whose first steps have these places among all of them."""
    if not places:
        return ()
    lookahead = 0 if strategy == "best-of-n" else params.lookahead
    part = replace(params, strategy=strategy, n=len(places), m=m or params.m, lookahead=lookahead)
    return await _SEARCHES[strategy](root, replace(expand, params=part, offset=places.start), part)
