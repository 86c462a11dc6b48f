"""Draw particles in proportion to the odds that their rewards give. Pure."""

import random
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, exp, log

from ttc_client.search.found import Pick

_CLIP = 1e-7
_FEW, _EARLY = 0.5, 0.5


def resampled(
    free: Sequence[Pick],
    kept: Sequence[Pick],
    size: int,
    rng: random.Random,
    *,
    early: float = 0.0,
) -> list[Pick]:
    """Draw particles by softmax(logit(reward) / T) where few of them have most of the weight.

    That is where the effective sample size is below half of their number. Copies that were drawn
    count alike; where none are drawn, each particle counts as its share. Those `kept` are among
    those drawn from, and come last, as they are: `size` in all. T is 1, or where `early` is above a
    half, `early` by the effective share of particles (the entropic variant).
    """
    cloud = [*free, *kept]
    logps, copies = [logit(p.trajectory.value) for p in cloud], [p.votes for p in cloud]
    parts, number = shares(logps, copies), sum(copies)
    effective = effective_size(parts, copies) / number
    if effective >= _FEW:
        weights = [number * part / k for part, k in zip(parts, copies, strict=True)]
        return [Pick(p.trajectory, p.votes, w) for p, w in zip(cloud, weights, strict=True)]
    temperature = max(1.0, early / effective) if early > _EARLY else 1.0
    parts = shares(logps, copies, temperature)
    drawn = systematic(parts, size - len(kept), rng.random())
    again = [Pick(p.trajectory, k, 1.0) for p, k in zip(cloud, drawn, strict=True) if k]
    return [*again, *(Pick(p.trajectory, p.votes, 1.0) for p in kept)]


def logit(reward: float) -> float:
    """Return the log odds of a reward, clipped as its_hub does, so that 0 and 1 have some."""
    clipped = min(max(reward, _CLIP), 1 - _CLIP)
    return log(clipped / (1 - clipped))


def shares(logps: Sequence[float], copies: Sequence[float], temperature: float = 1) -> list[float]:
    """Return softmax(logps / temperature), in which each counts once per copy.

    They add up to 1: the share of all copies of one particle together.
    """
    most = max(logps)
    weights = [
        number * exp((logp - most) / temperature)
        for logp, number in zip(logps, copies, strict=True)
    ]
    total = sum(weights)
    return [weight / total for weight in weights]


def effective_size(parts: Sequence[float], copies: Sequence[float]) -> float:
    """Return 1 / Σ w² over single particles, from the shares of all copies of each."""
    return 1 / sum(part * part / number for part, number in zip(parts, copies, strict=True))


def systematic(parts: Sequence[float], size: int, offset: float) -> list[int]:
    """Return how many of `size` draws each share gets, one at each (i + offset) / size.

    `offset` lies in [0, 1): a share of s gets s · size draws, rounded up or down (Kitagawa 1996).
    """
    ends = [ceil(size * end - offset) for end in accumulate(parts)]
    ends[-1] = size
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
