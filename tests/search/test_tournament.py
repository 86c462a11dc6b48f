"""Pairs of answers compared in both orders: who wins, what it costs, and what is a tie."""

import pytest

from ttc_client.search.tournament import tournament
from ttc_client.types import AnswerGroup, Candidate


def field_of(n: int) -> tuple[list[AnswerGroup], list[Candidate]]:
    """Return n answers, the last of them the best; the first have the most votes."""
    groups = [AnswerGroup(str(i), votes=n - i, reward_sum=1.0, reward_max=1.0) for i in range(n)]
    candidates = [
        Candidate(f"text {i}", (), 1.0, str(i), "eos", 1, (i,), group=i) for i in range(n)
    ]
    return groups, candidates


def number(text: str) -> int:
    return int(text.split()[1])


class Honest:
    """Prefer the larger number, wherever it stands."""

    def __init__(self, sure: float = 0.9) -> None:
        self.asked: list[tuple[str, str]] = []
        self.sure = sure

    async def __call__(self, first: str, second: str) -> float | None:
        self.asked.append((first, second))
        return self.sure if number(first) > number(second) else 1 - self.sure


async def run(n: int, compare, most_pairs: int = 64):
    groups, candidates = field_of(n)
    return await tournament(groups, candidates, compare, most_pairs=most_pairs, seeding="majority")


@pytest.mark.parametrize("n", [2, 3, 4, 8, 16])
async def test_the_best_answer_wins_within_a_ring_and_two_pivots(n):
    judge = Honest()
    ranking = await run(n, judge)
    assert ranking.order[0].answer == str(n - 1)
    assert len(ranking.order) == n
    pairs = {frozenset(pair) for pair in judge.asked}
    assert len(judge.asked) == 2 * len(pairs)  # each in both orders
    assert len(pairs) <= n + 2 * (n - 2) + 1
    assert f"{len(pairs)} pair" in ranking.note


@pytest.mark.parametrize("n", [0, 1])
async def test_one_answer_needs_no_judge(n):
    judge = Honest()
    ranking = await run(n, judge)
    assert (len(ranking.order), judge.asked, ranking.note) == (n, [], "")


async def test_a_judge_that_goes_by_the_place_decides_nothing():
    async def first_is_better(first: str, second: str) -> float:
        return 0.9

    ranking = await run(4, first_is_better)
    assert [group.answer for group in ranking.order] == ["0", "1", "2", "3"]  # by votes
    assert "6 flipped with the order" in ranking.note


@pytest.mark.parametrize("most", [1, 2, 5, 9])
async def test_no_more_pairs_are_compared_than_allowed(most):
    judge = Honest()
    ranking = await run(8, judge, most)
    assert len({frozenset(pair) for pair in judge.asked}) <= most
    assert len(ranking.order) == 8
    took_part = {number(text) for pair in judge.asked for text in pair}
    if (entrants := max(most, 2)) < 8:
        assert took_part <= set(range(entrants))  # the best seeded ones
        assert f"{8 - entrants} more answers took no part" in ranking.note


async def test_an_unreadable_comparison_is_no_tie_and_no_loss():
    honest = Honest()

    async def silent_on_three(first: str, second: str) -> float | None:
        return None if "3" in first else await honest(first, second)

    ranking = await run(3, silent_on_three)
    assert ranking.order[0].answer == "2"
    ranking = await run(4, silent_on_three)
    assert ranking.order[0].answer == "2"
    assert "unreadable" in ranking.note


async def test_the_candidate_of_the_highest_reward_stands_for_its_answer():
    groups, candidates = field_of(2)
    better = Candidate("text 9", (), 2.0, "0", "eos", 1, (9,), group=0)
    ranking = await tournament(
        groups, [*candidates, better], Honest(), most_pairs=9, seeding="majority"
    )
    assert ranking.order[0].answer == "0"
