import itertools
import math

import pytest

from ttc_client.analysis.metrics import pass_at_k


def test_equals_the_share_of_all_subsets_that_hold_a_right_sample() -> None:
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations(range(n), k))
            share = sum(any(i < c for i in subset) for subset in subsets) / len(subsets)
            assert pass_at_k(n, c, k) == pytest.approx(share)


def test_is_stable_where_binomials_overflow() -> None:
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)
    exact = 1 - math.comb(9_990, 256) / math.comb(10_000, 256)
    assert pass_at_k(10_000, 10, 256) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5), (0, 0, 1)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="="):
        pass_at_k(n, c, k)
