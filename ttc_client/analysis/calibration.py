"""Say how well the PRM's scores tell right from wrong: of solutions, or of steps."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ttc_client.analysis.curves import independent_samples, samples_of
from ttc_client.analysis.metrics import auc
from ttc_client.bench.runs import Run

_NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """Samples by their reward: per tenth the mean reward and the share that is right.

    `error` is the expected calibration error, the mean distance of the two; `auc` the chance that
    a right sample of any problem has a higher reward than a wrong one. Of steps, the same by their
    score.
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
    return reliability(rewards, right)


def reliability(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibration:
    """Return the calibration of one or more scores of what is right or wrong."""
    tenth = np.minimum((scores * _NUM_BINS).astype(int), _NUM_BINS - 1)
    filled = sorted(set(tenth.tolist()))
    means = [float(scores[tenth == part].mean()) for part in filled]
    shares = [float(right[tenth == part].mean()) for part in filled]
    counts = [int((tenth == part).sum()) for part in filled]
    gaps = abs(np.array(means) - np.array(shares))
    return Calibration(
        rewards=tuple(means),
        right=tuple(shares),
        counts=tuple(counts),
        error=float((gaps * counts).sum() / scores.size),
        auc=float(auc(scores, right)[0]),
    )
