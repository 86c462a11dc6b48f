"""Reduce a solution's step scores to one reward."""

import math
from collections.abc import Sequence

from ttc_client.types import Reduction


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
