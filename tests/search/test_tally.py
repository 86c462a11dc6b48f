"""How sure it is that the leader of a vote stays ahead."""

from math import comb

import pytest

from ttc_client.search.tally import posterior


@pytest.mark.parametrize("second", range(12))
def test_the_posterior_is_the_papers_sum(second):
    for first in range(second, 60):
        n = first + second + 1
        exact = 1 - sum(comb(n, k) for k in range(second + 1)) / 2**n
        assert posterior(first, second) == pytest.approx(exact, abs=1e-11)


def test_the_posterior_takes_rewards_and_many_votes():
    assert posterior(3, 1) < posterior(3.5, 1) < posterior(4, 1)
    assert posterior(50_000, 50_000) == pytest.approx(0.5, abs=1e-9)
    assert posterior(50_500, 49_500) > 0.999
