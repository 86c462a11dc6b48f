"""Estimate how good a policy and a search are from graded samples."""

import math


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
