"""Say how sure a mean over problems is, and whether two strategies differ.

The problem is the unit that is resampled, all seeds of it together: that covers both which
problems the set happens to hold and how lucky their searches were. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

Values = Mapping[str, Mapping[int, float]]
"""A number per problem and seed."""

_NUM_RESAMPLES = 2_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems with its 95 % bootstrap interval.

    `seed_sd` is the standard deviation of the mean from seed to seed, NaN for a single one.
    """

    mean: float
    low: float
    high: float
    seed_sd: float
    num_problems: int
    num_seeds: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better one thing is than another on the problems that both have.

    `p` is that of a two-sided sign-flip test: the chance of such a difference if the two were
    interchangeable. `num_better` and `num_worse` count problems.
    """

    difference: float
    low: float
    high: float
    p: float
    num_better: int
    num_worse: int
    num_problems: int


def estimate(values: Values) -> Estimate:
    """Return the mean over problems of the means over seeds; raises ValueError for no problems."""
    means = _means(values)
    low, high = _interval(means)
    by_seed: dict[int, list[float]] = {}
    for seeds in values.values():
        for seed, value in seeds.items():
            by_seed.setdefault(seed, []).append(value)
    of_seeds = [fmean(found) for found in by_seed.values()]
    seed_sd = stdev(of_seeds) if len(of_seeds) > 1 else nan
    return Estimate(float(means.mean()), low, high, seed_sd, len(means), len(by_seed))


def compare(one: Values, other: Values) -> Comparison:
    """Compare problem by problem; raises ValueError where they share none."""
    shared = sorted(one.keys() & other.keys())
    difference = _means({p: one[p] for p in shared}) - _means({p: other[p] for p in shared})
    low, high = _interval(difference)
    flips = np.random.default_rng(0).choice((-1.0, 1.0), (_NUM_RESAMPLES, len(shared)))
    observed = abs(difference.sum()) - 1e-9
    extreme = int((abs(flips @ difference) >= observed).sum())
    return Comparison(
        difference=float(difference.mean()),
        low=low,
        high=high,
        p=(1 + extreme) / (1 + _NUM_RESAMPLES),
        num_better=int((difference > 0).sum()),
        num_worse=int((difference < 0).sum()),
        num_problems=len(shared),
    )


def _means(values: Values) -> NDArray[np.float64]:
    if not values:
        raise ValueError("there are no problems to average over")
    return np.array([fmean(seeds.values()) for seeds in values.values()])


def _interval(means: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(means), size=(_NUM_RESAMPLES, len(means)))
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.percentile(means[drawn].mean(axis=1), (tail, 100 - tail))
    return float(low), float(high)
