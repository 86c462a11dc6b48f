"""Read the accuracy at every k ≤ N off one run of N independent samples.

What a search with k samples finds is estimated from all k-subsets of the N, not from the first k:
the estimate is unbiased, and uses every sample. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ttc_client.analysis.metrics import pass_at_k
from ttc_client.types import Vote

_NUM_DRAWS = 256


@dataclass(frozen=True, slots=True)
class Samples:
    """N samples of one problem.

    `answers` holds the index of each sample's answer, -1 for one that has no vote, `rewards` its
    reward in [0, 1], and `right` how right each of the answers is, from 0 to 1.
    """

    answers: NDArray[np.int64]
    rewards: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def grades(self) -> NDArray[np.float64]:
        """How right each sample is."""
        return np.append(self.right, 0.0)[self.answers]


def pass_rates(samples: Samples, ks: Sequence[int]) -> list[float]:
    """Return pass@k for each k: whether one of k samples is entirely right.

    Where fewer were sampled, because some failed, it is that of all of them.
    """
    n, c = len(samples.answers), int((samples.grades == 1).sum())
    return [pass_at_k(n, c, min(k, n)) if n else 0.0 for k in ks]


def vote_rates(samples: Samples, vote: Vote, ks: Sequence[int], seed: int = 0) -> list[float]:
    """Return for each k how often a vote among k samples is right.

    Exact for `prm`, and for k = 1; else the mean over random subsets that `seed` fixes, the same
    ones for both votes. The samples count as drawn in any order: of answers that are equally good
    each wins as often as one of its samples comes first. Where fewer than k were sampled, all of
    them vote.
    """
    n = len(samples.answers)
    if not n:
        return [0.0] * len(ks)
    if vote == "prm":
        return [_best_is_right(samples, min(k, n)) for k in ks]
    orders = np.random.default_rng(seed).random((_NUM_DRAWS, n)).argsort(axis=1)
    return [
        float(samples.grades.mean()) if k == 1 else _vote_is_right(samples, vote, orders[:, :k])
        for k in ks
    ]


def _best_is_right(samples: Samples, k: int) -> float:
    """Return the chance that the sample with the best reward among k is right.

    Of N samples in order of reward, the i-th (from 0) is the best of a subset that holds it and
    none before it: C(N-1-i, k-1) of the C(N, k) subsets.
    """
    n = len(samples.answers)
    voting = samples.answers >= 0
    ranked = sorted(
        zip(samples.rewards[voting].tolist(), samples.grades[voting].tolist(), strict=True),
        reverse=True,
    )
    chance, rank, total = k / n, 0, 0.0
    for _, equals in groupby(ranked, key=lambda sample: sample[0]):
        block = [right for _, right in equals]
        share = sum(block) / len(block)
        for _ in block:
            total += chance * share
            chance *= (n - k - rank) / (n - 1 - rank) if rank < n - 1 else 0.0
            rank += 1
    return total


def _vote_is_right(samples: Samples, vote: Vote, subsets: NDArray[np.int64]) -> float:
    """Return the share of subsets, rows of sample indices, whose vote is right."""
    num_answers = len(samples.right) + 1  # the last column takes those without a vote
    answers = samples.answers[subsets] % num_answers
    cells = (np.arange(len(subsets))[:, None] * num_answers + answers).ravel()
    size = len(subsets) * num_answers

    def per_answer(weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        counts = np.bincount(cells, weights, minlength=size)
        return counts.reshape(len(subsets), num_answers)[:, :-1].astype(float)

    votes = per_answer(None)
    support = votes if vote == "majority" else per_answer(samples.rewards[subsets].ravel())
    support = np.where(votes > 0, support, -1.0)
    best = np.maximum(support.max(axis=1, keepdims=True, initial=-1.0), 0.0)
    winners = np.isclose(support, best, rtol=1e-9, atol=0.0)
    chances = votes * winners
    won = (chances * samples.right).sum(axis=1) / np.maximum(chances.sum(axis=1), 1)
    return float(won.mean())
