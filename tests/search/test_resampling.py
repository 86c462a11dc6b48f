"""Weights of particles, and systematic draws by them."""

from itertools import pairwise
from math import exp, isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.search.resampling import effective_size, logit, shares, systematic

PARTS = st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=20).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)


def test_a_logit_is_the_log_odds_and_finite_at_both_ends():
    assert logit(0.5) == 0
    assert isclose(logit(0.8), log(4))
    assert isclose(logit(1.0), -logit(0.0), rel_tol=1e-6)
    assert isclose(logit(1.0), 16.118, abs_tol=0.001)


def test_shares_are_a_softmax_in_which_each_copy_counts():
    alone, copied = shares([log(1), log(3)], [1, 1]), shares([log(1), log(3)], [3, 1])
    assert alone == pytest.approx([0.25, 0.75])
    assert copied == pytest.approx([0.5, 0.5])
    assert shares([0.0, log(9)], [1, 1], temperature=2) == pytest.approx([0.25, 0.75])
    assert shares([-2000.0, 2000.0], [1, 1]) == [exp(-4000), 1.0]


def test_the_effective_size_counts_copies_as_particles_of_their_own():
    assert effective_size([0.25] * 4, [1] * 4) == pytest.approx(4)
    assert effective_size([1.0], [4]) == pytest.approx(4)
    assert effective_size([1.0, 0.0], [1, 3]) == pytest.approx(1)
    assert effective_size([0.5, 0.5], [2, 1]) == pytest.approx(1 / (2 / 16 + 1 / 4))


@given(PARTS, st.integers(1, 64), st.floats(0, 1, exclude_max=True))
def test_systematic_draws_give_each_its_share_rounded_down_or_up(parts, size, offset):
    drawn = systematic(parts, size, offset)
    assert sum(drawn) == size
    assert all(abs(k - size * part) < 1 + 1e-6 for k, part in zip(drawn, parts, strict=True))


def test_the_offset_decides_who_is_rounded_up():
    """Two draws at (0 + u)/2 and (1 + u)/2."""
    parts = [0.3, 0.3, 0.4]
    seen = [tuple(systematic(parts, 2, u / 10)) for u in range(10)]
    assert [one for one, other in pairwise([*seen, ()]) if one != other] == [
        *((1, 1, 0), (1, 0, 1), (0, 1, 1)),
    ]
