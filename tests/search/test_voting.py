"""Votes: what speaks for each group of equivalent answers, and which one is chosen."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.search.ballot import Ballot
from ttc_client.search.results import Rules, vote_on
from ttc_client.search.voting import choices, ranked
from ttc_client.types import AnswerGroup, Candidate, Finish, Vote

VOTES: tuple[Vote, ...] = ("prm", "weighted", "majority")


def choose(groups: Sequence[AnswerGroup], vote: Vote) -> int | None:
    """Return the index of the group that a vote chooses, found by itself."""
    measures = [(g.reward_max, g.reward_sum, g.votes)[VOTES.index(vote)] for g in groups]
    return measures.index(max(measures)) if measures else None


def grouped(
    candidates: Sequence[Candidate], key: Callable[[str], str] = str
) -> tuple[AnswerGroup, ...]:
    """Return the groups as a search makes them, in order of first appearance."""

    async def keys(answers: Sequence[str]) -> list[str]:
        return [key(answer) for answer in answers]

    _, groups = asyncio.run(vote_on(candidates, Ballot(str, keys), Rules()))
    return groups


def candidate(
    answer: str, reward: float | None, votes: float = 1, finish: Finish = "eos"
) -> Candidate:
    return Candidate(
        text=f"so {answer}",
        steps=(),
        reward=reward,
        answer=answer,
        finish=finish,
        votes=votes,
        num_tokens=1,
        path=(0,),
    )


def test_the_three_votes_can_disagree() -> None:
    candidates = [
        candidate("1", 0.9),
        candidate("2", 0.5),
        candidate("2", 0.6),
        *[candidate("3", 0.3)] * 3,
    ]
    groups = grouped(candidates)
    assert choices(groups, scored=True) == {"prm": "1", "weighted": "2", "majority": "3"}
    assert choices(groups, scored=False) == {"majority": "3"}
    assert choices(groups, scored=False, weighed=True) == {"weighted": "2", "majority": "3"}
    assert [choose(groups, vote) for vote in VOTES] == [0, 1, 2]


def test_a_group_speaks_with_the_text_of_its_best_and_earliest_member() -> None:
    candidates = [candidate("0.5", 0.2), candidate("1/2", 0.8), candidate(r"\frac12", 0.8)]
    (group,) = grouped(candidates, lambda answer: "k")
    assert group == AnswerGroup("1/2", 3, pytest.approx(1.8), 0.8)  # type: ignore[arg-type]


def test_a_candidate_counts_as_often_as_it_was_sampled() -> None:
    candidates = [candidate("1", 0.5), candidate("2", 0.25, votes=4)]
    groups = grouped(candidates)
    assert [(g.votes, g.reward_sum, g.reward_max) for g in groups] == [(1, 0.5, 0.5), (4, 1, 0.25)]
    assert [choose(groups, vote) for vote in VOTES] == [0, 1, 1]


def test_empty_and_truncated_answers_do_not_vote() -> None:
    candidates = [
        candidate("", 0.9, votes=9),
        candidate("1", 0.9, votes=9, finish="length"),
        candidate("2", 0.1),
    ]
    assert [group.answer for group in grouped(candidates)] == ["2"]


def test_nothing_to_choose_from() -> None:
    groups = grouped([candidate("", 0.5)])
    assert choices(groups, scored=True) == {"prm": "", "weighted": "", "majority": ""}
    assert choose(groups, "prm") is None


def test_without_a_prm_the_votes_still_count() -> None:
    groups = grouped([candidate(a, None) for a in "122"])
    assert choices(groups, scored=False) == {"majority": "2"}
    assert groups[1] == AnswerGroup("2", 2, 0.0, 0.0)


def test_a_weight_of_its_own_counts_in_the_place_of_the_reward() -> None:
    weighed = [replace(candidate("1", 0.9), weight=0.1), candidate("2", 0.5, votes=2)]
    groups = grouped([*weighed, replace(candidate("3", 0.2, votes=3), weight=1.0)])
    assert [(g.votes, g.reward_sum, g.reward_max) for g in groups] == [
        *((1, 0.1, 0.9), (2, 1.0, 0.5), (3, 3.0, 0.2)),
    ]
    assert choices(groups, scored=True) == {"prm": "1", "weighted": "3", "majority": "3"}


@pytest.mark.parametrize("vote", VOTES)
def test_ties_go_to_the_earliest(vote: Vote) -> None:
    groups = grouped([candidate(a, 0.5) for a in "abcab"])
    assert choose(groups[:2], vote) == 0
    assert ranked(groups, vote)[0].answer == "a"


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1)
)
def test_the_winner_is_best_by_its_own_measure(votes: list[tuple[str, float]]) -> None:
    groups = grouped([candidate(*vote) for vote in votes])
    answers = list(dict.fromkeys(answer for answer, _ in votes))
    assert [group.answer for group in groups] == answers
    rewards = {a: [reward for answer, reward in votes if answer == a] for a in answers}
    assert choices(groups, scored=True) == {
        "prm": max(answers, key=lambda a: max(rewards[a])),
        "weighted": max(answers, key=lambda a: sum(rewards[a])),
        "majority": max(answers, key=lambda a: len(rewards[a])),
    }
    for vote, choice in choices(groups, scored=True).items():
        assert groups[choose(groups, vote) or 0].answer == choice


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([0.1, 0.25, 0.5])), min_size=1))
def test_a_multiplicity_is_as_good_as_repeated_candidates(votes: list[tuple[str, float]]) -> None:
    repeated = [candidate(*vote) for vote in votes for _ in range(3)]
    counted = [candidate(*vote, votes=3) for vote in votes]
    groups = [grouped(cs) for cs in (repeated, counted)]
    for one, other in zip(*groups, strict=True):
        assert (one.answer, one.votes, one.reward_max) == (
            other.answer,
            other.votes,
            other.reward_max,
        )
        assert one.reward_sum == pytest.approx(other.reward_sum)


def test_an_unknown_vote_is_refused() -> None:
    with pytest.raises(ValueError, match="loudest"):
        ranked((), "loudest")  # type: ignore[arg-type]


def test_a_key_for_each_candidate() -> None:
    async def none(answers: Sequence[str]) -> list[str]:
        return []

    with pytest.raises(ValueError, match="zip"):
        asyncio.run(vote_on([candidate("1", 0.5)], Ballot(str, none), Rules()))


async def test_a_key_is_made_once_for_each_distinct_answer() -> None:
    asked: list[str] = []

    async def keys(answers: Sequence[str]) -> list[str]:
        asked.extend(answers)
        return [answer.strip() for answer in answers]

    ballot = Ballot(str, keys)
    assert await ballot.keys(["1", "1", " 1"]) == ["1", "1", "1"]
    assert await ballot.keys(["2", "1"]) == ["2", "1"]
    await vote_on([candidate(a, 0.5) for a in "1212"], ballot, Rules())
    assert asked == ["1", " 1", "2"]
