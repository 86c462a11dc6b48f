"""Choose next tokens from logits, all sequences of a step at once.

The random number of a token depends on its sequence's seed and its index alone, so that the same
seed gives the same tokens whatever else is being sampled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ttc_servers.embedded.weights import Array


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to choose a token: 0 for `temperature` is the likeliest, for `top_k` no bound."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


def sample(
    logits: Array, params: list[SamplingParams], seeds: list[int], indices: list[int]
) -> NDArray[np.int64]:
    """Return one token id [S] for each row of logits [S, vocab].

    `seeds` and `indices` give each row's random number: the seed of its sequence and how many
    tokens that has generated before.
    """
    temperature = np.array([p.temperature for p in params], np.float32)
    greedy = temperature == 0
    if greedy.all():
        return logits.argmax(axis=1)
    scaled = logits / np.where(greedy, 1, temperature)[:, None]
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    _truncate(weights, params)
    cumulative = weights.cumsum(axis=1)
    drawn = uniform(seeds, indices) * cumulative[:, -1]
    chosen = (cumulative >= drawn[:, None]).argmax(axis=1)
    return np.where(greedy, logits.argmax(axis=1), chosen)


def _truncate(weights: Array, params: list[SamplingParams]) -> None:
    """Set to zero what top-k, top-p and min-p exclude, in this order."""
    top_k = np.array([p.top_k for p in params])
    top_p = np.array([p.top_p for p in params], np.float32)
    min_p = np.array([p.min_p for p in params], np.float32)
    vocab = weights.shape[1]
    sort = np.flatnonzero(((top_k > 0) & (top_k < vocab)) | (top_p < 1))
    if len(sort):
        descending = -np.sort(-weights[sort], axis=1)
        k = np.where(top_k[sort] > 0, np.minimum(top_k[sort], vocab), vocab)
        descending[np.arange(vocab) >= k[:, None]] = 0
        mass = descending.cumsum(axis=1)
        # A token stays while the likelier ones do not make up top_p yet; the first always does.
        kept = mass - descending < top_p[sort, None] * mass[:, -1:]
        kept[:, 0] = True
        smallest = np.where(kept & (descending > 0), descending, np.inf).min(axis=1)
        weights[sort] = np.where(weights[sort] >= smallest[:, None], weights[sort], 0)
    if min_p.any():
        weights[weights < min_p[:, None] * weights.max(axis=1, keepdims=True)] = 0


def penalize(logits: Array, tokens: list[int], penalty: float) -> None:
    """Make tokens of one row [vocab] less likely, in place (Keskar et al. 2019, section 4.1)."""
    seen = np.unique(tokens)
    logits[seen] = np.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)


def uniform(seeds: list[int], indices: list[int]) -> Array:
    """Return a number in (0, 1] for each pair, by the finaliser of SplitMix64."""
    mixed = _mix(np.array([seed % 2**64 for seed in seeds], np.uint64))
    mixed = _mix(mixed + np.array(indices, np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return ((mixed >> np.uint64(40)) + np.uint64(1)).astype(np.float32) / np.float32(2**24)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
