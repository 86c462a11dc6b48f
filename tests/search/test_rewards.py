import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.search.rewards import reduce_scores
from ttc_client.types import Reduction

REDUCTIONS: tuple[Reduction, ...] = ("last", "min", "prod", "mean")


@pytest.mark.parametrize(
    ("reduction", "reward"), [("last", 0.5), ("min", 0.25), ("prod", 0.125), ("mean", 1.75 / 3)]
)
def test_each_reduction(reduction: Reduction, reward: float) -> None:
    assert reduce_scores([1.0, 0.25, 0.5], reduction) == pytest.approx(reward)


@given(st.lists(st.floats(0, 1), min_size=1), st.sampled_from(REDUCTIONS))
def test_a_reward_is_a_probability(scores: list[float], reduction: Reduction) -> None:
    assert 0.0 <= reduce_scores(scores, reduction) <= 1.0


@given(st.floats(0, 1), st.sampled_from(REDUCTIONS))
def test_one_score_is_the_reward(score: float, reduction: Reduction) -> None:
    assert reduce_scores([score], reduction) == score


@pytest.mark.parametrize("scores", [[], [math.nan], [0.5, -0.1], [1.01, 0.5], [math.inf]], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_what_is_no_probability_is_refused(scores: list[float], reduction: Reduction) -> None:
    with pytest.raises(ValueError, match="score"):
        reduce_scores(scores, reduction)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="max"):
        reduce_scores([0.5], "max")  # type: ignore[arg-type]
