"""Accuracy at k ≤ N against every ordered choice of k samples, voted on one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_client.analysis.subsets import Samples, pass_rates, vote_rates
from ttc_client.search.voting import grouped, ranked
from ttc_client.types import Candidate, Vote

Sampled = list[tuple[int, float]]


def samples(drawn: Sampled, right: int = 0) -> Samples:
    answers, rewards = zip(*drawn, strict=True)
    num_answers = max(max(answers) + 1, right + 1)
    return Samples(
        np.array(answers), np.array(rewards), (np.arange(num_answers) == right).astype(float)
    )


def by_brute_force(drawn: Sampled, vote: Vote, k: int) -> float:
    """Vote on every ordered choice of k samples with the code that a search votes with."""
    candidates = [Candidate("", (), reward, str(a), "eos", 1, ()) for a, reward in drawn]
    wins = []
    for chosen in itertools.permutations(candidates, k):
        voting = dict.fromkeys(c.answer for c in chosen if c.answer != "-1")
        members = [[c for c in chosen if c.answer == answer] for answer in voting]
        order = ranked(grouped(members), vote)
        wins.append(bool(order) and order[0].answer == "0")
    return sum(wins) / len(wins)


rewards = st.sampled_from([0.1, 0.2, 0.35, 0.5, 0.8, 1.0])
distinct = st.lists(rewards, min_size=2, max_size=6, unique=True)


@settings(max_examples=40, deadline=None)
@given(distinct, st.data())
def test_the_best_rewards_answer_is_exact(scores, data):
    drawn = [(data.draw(st.integers(-1, 2)), score) for score in scores]
    for k in range(1, len(drawn) + 1):
        (rate,) = vote_rates(samples(drawn), "prm", [k])
        assert rate == pytest.approx(by_brute_force(drawn, "prm", k))


def test_equal_best_rewards_share_the_win():
    drawn = [(0, 0.9), (1, 0.9), (1, 0.9), (2, 0.1)]
    for k in (1, 2, 3, 4):
        (rate,) = vote_rates(samples(drawn), "prm", [k])
        assert rate == pytest.approx(by_brute_force(drawn, "prm", k))


@pytest.mark.parametrize("vote", ["majority", "weighted"])
@settings(max_examples=15, deadline=None)
@given(drawn=st.lists(st.tuples(st.integers(-1, 2), rewards), min_size=2, max_size=6))
def test_votes_are_within_chance_of_all_ordered_choices(vote, drawn):
    exact = [by_brute_force(drawn, vote, k) for k in range(1, len(drawn) + 1)]
    rates = vote_rates(samples(drawn), vote, range(1, len(drawn) + 1))
    # 256 draws have a standard error of at most 0.031
    assert rates == pytest.approx(exact, abs=0.15)
    assert rates[0] == pytest.approx(exact[0])


def test_an_answer_that_ties_with_a_more_frequent_one_wins_as_often_as_it_comes_first():
    drawn = [(0, 1.0), (1, 0.2), (1, 0.8)]
    (rate,) = vote_rates(samples(drawn), "weighted", [3])
    assert rate == pytest.approx(by_brute_force(drawn, "weighted", 3)) == pytest.approx(1 / 3)


@given(st.lists(st.tuples(st.integers(-1, 2), rewards), min_size=1, max_size=7))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(drawn):
    for k, rate in enumerate(pass_rates(samples(drawn), range(1, len(drawn) + 1)), 1):
        subsets = list(itertools.combinations(drawn, k))
        share = sum(any(answer == 0 for answer, _ in s) for s in subsets) / len(subsets)
        assert rate == pytest.approx(share)


def test_without_any_vote_nothing_is_right():
    none = Samples(np.array([-1, -1]), np.array([0.5, 0.5]), np.array([]))
    for vote in ("prm", "weighted", "majority"):
        assert vote_rates(none, vote, [1, 2]) == [0, 0]
    assert pass_rates(none, [1, 2]) == [0, 0]


def test_all_k_of_a_large_run_are_quick_and_the_same_each_time():
    rng = np.random.default_rng(1)
    large = Samples(rng.integers(-1, 40, 256), rng.random(256), (np.arange(40) == 3).astype(float))
    ks = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    first = vote_rates(large, "weighted", ks)
    assert first == vote_rates(large, "weighted", ks)
    assert first != vote_rates(large, "weighted", ks, seed=1)


@pytest.mark.parametrize("vote", ["prm", "weighted", "majority"])
def test_where_fewer_than_k_were_sampled_all_of_them_count(vote: Vote):
    three = samples([(0, 0.9), (1, 0.2), (1, 0.3)])
    assert vote_rates(three, vote, [4, 8]) == vote_rates(three, vote, [3, 3])
    assert pass_rates(three, [4]) == pass_rates(three, [3]) == [1]
    none = Samples(np.array([], dtype=np.int64), np.array([]), np.array([1.0]))
    assert (vote_rates(none, vote, [1, 4]), pass_rates(none, [4])) == ([0, 0], [0])
