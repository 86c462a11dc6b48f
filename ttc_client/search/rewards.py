"""Reduce a solution's step scores to one reward."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import cast

from ttc_client.types import Reduction


def reward_of(scores: Sequence[float | None], reduction: Reduction) -> float | None:
    """Return the reward that scores make, None where one that it is made of is missing.

    `last` is made of the last score alone, the others are made of all. Raises ValueError as
    `reduce_scores` does.
    """
    used = scores[-1:] if reduction == "last" else scores
    return None if None in used else reduce_scores(cast(Sequence[float], used), reduction)


def values_of(rewards: Sequence[float | None], otherwise: float) -> list[float]:
    """Return what siblings are ranked by: one without a reward by the mean of the others.

    So a missing score speaks neither for nor against it. `otherwise` is for all where none has one.
    """
    present = [reward for reward in rewards if reward is not None]
    neutral = fmean(present) if present else otherwise
    return [neutral if reward is None else reward for reward in rewards]


def reduce_scores(scores: Sequence[float], reduction: Reduction) -> float:
    """Return the reward in [0, 1] of a solution from its PRM scores, one per step.

    `last` reads the PRM as an outcome model of the whole solution; `min` and `prod` follow
    Lightman et al. 2023 (arXiv 2305.20050). Raises ValueError for no scores and for scores
    outside [0, 1].
    """
    if not scores:
        raise ValueError("there are no scores to reduce")
    for score in scores:
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"a score is a probability in [0, 1], not {score!r}")
    match reduction:
        case "last":
            return float(scores[-1])
        case "min":
            return float(min(scores))
        case "prod":
            return math.prod(scores, start=1.0)
        case "mean":
            return min(1.0, math.fsum(scores) / len(scores))
        case _:
            raise ValueError(f"reduction must be last, min, prod or mean, not {reduction!r}")
