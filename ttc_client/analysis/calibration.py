"""Say how well the PRM's rewards tell right solutions from wrong ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from ttc_client.analysis.curves import independent_samples, samples_of
from ttc_client.bench.runs import Run

_NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """Independent samples by their reward: per tenth the mean reward and the share that is right.

    `error` is the expected calibration error, the mean distance of the two; `auc` the chance that
    a right sample of any problem has a higher reward than a wrong one.
    """

    rewards: tuple[float, ...]
    right: tuple[float, ...]
    counts: tuple[int, ...]
    error: float
    auc: float


def calibration(runs: Iterable[Run]) -> Calibration | None:
    """Return the calibration on independent samples; None where there are none.

    Samples without a vote are left out.
    """
    found = [samples_of(record) for record in independent_samples(runs)]
    if not found:
        return None
    voting = [samples.answers >= 0 for samples in found]
    rewards = np.concatenate([s.rewards[v] for s, v in zip(found, voting, strict=True)])
    right = np.concatenate([s.grades[v] == 1 for s, v in zip(found, voting, strict=True)])
    if not rewards.size:
        return None
    tenth = np.minimum((rewards * _NUM_BINS).astype(int), _NUM_BINS - 1)
    filled = sorted(set(tenth.tolist()))
    means = [float(rewards[tenth == part].mean()) for part in filled]
    shares = [float(right[tenth == part].mean()) for part in filled]
    counts = [int((tenth == part).sum()) for part in filled]
    gaps = abs(np.array(means) - np.array(shares))
    return Calibration(
        rewards=tuple(means),
        right=tuple(shares),
        counts=tuple(counts),
        error=float((gaps * counts).sum() / rewards.size),
        auc=_auc(rewards, right),
    )


def _auc(rewards: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve; equal rewards count half. NaN without both classes."""
    _, place, counts = np.unique(rewards, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks = (last - (counts - 1) / 2)[place]  # the mean rank of equal rewards
    num_right = int(right.sum())
    num_wrong = right.size - num_right
    if not num_right or not num_wrong:
        return nan
    above = ranks[right].sum() - num_right * (num_right + 1) / 2
    return float(above / (num_right * num_wrong))
