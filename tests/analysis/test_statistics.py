"""Intervals that hold the truth as often as they say, and comparisons problem by problem."""

import math

import numpy as np
import pytest

from ttc_client.analysis.statistics import compare, estimate


def flips(rng: np.random.Generator, chances: np.ndarray, seeds: int = 3) -> dict:
    """Draw right and wrong answers: per problem a chance, per seed a coin."""
    return {
        str(p): {s: float(rng.random() < chance) for s in range(seeds)}
        for p, chance in enumerate(chances)
    }


def test_the_mean_is_over_problems_and_the_spread_over_seeds():
    found = estimate({"a": {0: 1.0, 1: 0.0}, "b": {0: 1.0}, "c": {0: 0.0, 1: 0.0}})
    assert found.mean == pytest.approx((0.5 + 1 + 0) / 3)
    assert (found.num_problems, found.num_seeds) == (3, 2)
    assert found.seed_sd == pytest.approx(np.std([2 / 3, 0.0], ddof=1))
    assert math.isnan(estimate({"a": {0: 1.0}}).seed_sd)


def test_the_interval_holds_the_true_mean_about_95_times_in_100():
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        chances = rng.beta(1, 2, size=80)  # another problem set each time: its mean is 1/3
        found = estimate(flips(rng, chances))
        held += found.low <= 1 / 3 <= found.high
    assert 180 <= held <= 198


def test_a_paired_comparison_sees_what_the_intervals_do_not():
    rng = np.random.default_rng(0)
    chances = rng.random(100)
    worse = flips(rng, chances)
    better = {
        p: {s: max(v, float(int(p) % 10 == 0)) for s, v in seeds.items()}
        for p, seeds in worse.items()
    }
    found = compare(better, worse)
    assert estimate(better).low < estimate(worse).high
    assert found.low > 0
    assert found.p < 0.05
    assert found.num_worse == 0
    assert 0 < found.num_better <= 10
    assert compare(worse, better).difference == pytest.approx(-found.difference)


def test_what_is_alike_is_not_told_apart():
    rng = np.random.default_rng(0)
    significant = 0
    for _ in range(60):
        chances = rng.random(40)
        significant += compare(flips(rng, chances), flips(rng, chances)).p < 0.05
    assert significant <= 8


def test_only_shared_problems_are_compared():
    found = compare({"a": {0: 1.0}, "b": {0: 1.0}}, {"b": {0: 0.0}, "c": {0: 1.0}})
    assert (found.difference, found.num_problems, found.num_better) == (1.0, 1, 1)
    assert found.p == 1.0


def test_nothing_to_average_is_an_error():
    with pytest.raises(ValueError, match="no problems"):
        estimate({})
    with pytest.raises(ValueError, match="no problems"):
        compare({"a": {0: 1.0}}, {"b": {0: 1.0}})
