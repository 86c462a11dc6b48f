"""Estimate how good a policy, a search or a verifier is from graded samples."""

import math

import numpy as np
from numpy.typing import NDArray


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of pass@k from n samples of which c are right.

    The chance that k of the samples, drawn without replacement, hold a right one:
    1 - C(n-c, k) / C(n, k), as the product of Chen et al. 2021 (arXiv 2107.03374), which
    neither overflows nor cancels. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= c <= n:
        raise ValueError(f"of n = {n} samples, c = {c} cannot be right")
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} is not between 1 and n = {n}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def auc(
    scores: NDArray[np.float64],
    right: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the area under the ROC curve: the chance that a right one has the higher score.

    Equal scores count half. `weights`, of shape (sets, scores), says how often each counts, in one
    or more sets; the result has a value per set, NaN where a set has right or wrong ones alone.
    """
    _, place = np.unique(scores, return_inverse=True)
    order = place.argsort(kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    counted = np.ones((1, scores.size)) if weights is None else weights
    is_right = right[order]

    def per_score(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add.reduceat(counts, starts, axis=1) if starts.size else counts

    good, bad = per_score(counted[:, order] * is_right), per_score(counted[:, order] * ~is_right)
    below = bad.cumsum(axis=1) - bad / 2
    pairs = good.sum(axis=1) * bad.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (good * below).sum(axis=1) / pairs
