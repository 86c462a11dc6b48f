"""Diverse verifier tree search (DVTS): independent subtrees, each searched greedily."""

from itertools import chain

from ttc_client.search.expand import Expander
from ttc_client.search.params import SearchParams
from ttc_client.together import together
from ttc_client.types import Trajectory


async def dvts(root: Trajectory, expand: Expander, params: SearchParams) -> tuple[Trajectory, ...]:
    """Return all trajectories that the N/M subtrees sample (the post, "DVTS").

    The subtrees never wait for each other: each goes on as soon as its own M steps are scored.
    """
    subtrees = await together(
        _subtree(root, first, expand, params) for first in range(0, params.n, params.m)
    )
    return tuple(chain.from_iterable(subtrees))


async def _subtree(
    root: Trajectory, first: int, expand: Expander, params: SearchParams
) -> list[Trajectory]:
    """Sample M steps, keep the best one, expand it M ways, until it ends.

    At `max_steps` the steps run to the end.
    """
    best, sampled = root, list[Trajectory]()
    for depth in range(1, params.max_steps + 1):
        steps = await expand(
            best, params.m, first=first if best is root else 0, to_end=depth == params.max_steps
        )
        sampled += steps
        best = max(steps, key=lambda step: step.value)
        if best.finished:
            break
    return sampled
