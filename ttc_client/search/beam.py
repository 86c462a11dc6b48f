"""Beam search over steps, guided by a PRM."""

import asyncio
from collections.abc import Iterable

from ttc_client.search.expand import Expander
from ttc_client.search.params import SearchParams
from ttc_client.together import stopped
from ttc_client.types import Trajectory


async def beam(root: Trajectory, expand: Expander, params: SearchParams) -> tuple[Trajectory, ...]:
    """Return all trajectories that beam search samples (the post, "Beam search").

    1. Sample N first steps. 2. Score them. 3. Keep the best N/M unfinished. 4. Sample M next
    steps from each. Repeat 2 to 4 until N completions exist, none is left unfinished, or
    `max_steps` is reached; the last step of all runs to the end.
    """
    width = params.n // params.m
    level = await expand(root, params.n, to_end=params.max_steps == 1)
    sampled = list(level)
    for depth in range(2, params.max_steps + 1):
        kept = sorted((t for t in level if not t.finished), key=_best_first)[:width]
        missing = params.n - _num_completions(sampled)
        if not kept or missing <= 0:
            break
        level = await _expand_all(kept, expand, params, missing, to_end=depth == params.max_steps)
        sampled += level
    return tuple(sampled)


async def _expand_all(
    beams: list[Trajectory], expand: Expander, params: SearchParams, missing: int, to_end: bool
) -> list[Trajectory]:
    """Expand all beams at once, and gather their children from the best beam down.

    When these hold the completions still missing, the requests of the beams below are closed:
    the outcome depends on the ranking alone, never on which answer came first.
    """
    level: list[Trajectory] = []
    requests = [asyncio.create_task(expand(b, params.m, to_end=to_end)) for b in beams]
    try:
        for request in requests:
            level += await request
            if _num_completions(level) >= missing:
                break
    finally:
        await stopped(requests)
    return level


def _best_first(trajectory: Trajectory) -> tuple[float, tuple[int, ...]]:
    return -trajectory.value, trajectory.path


def _num_completions(trajectories: Iterable[Trajectory]) -> int:
    return sum(t.multiplicity for t in trajectories if t.finished)
