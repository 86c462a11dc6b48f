"""Greedy decoding: the baseline that every strategy is compared with."""

from ttc_client.search.expand import Expander
from ttc_client.search.params import SearchParams
from ttc_client.types import Trajectory


async def greedy(
    root: Trajectory, expand: Expander, params: SearchParams
) -> tuple[Trajectory, ...]:
    """Return the one completion at T=0."""
    return await expand(root, 1, to_end=True, temperature=0.0)
