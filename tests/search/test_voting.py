from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.search.voting import Verdict, tally
from ttc_client.types import AnswerGroup, Candidate, Finish, Vote

VOTES: tuple[Vote, ...] = ("prm", "weighted", "majority")


def choose(groups: Sequence[AnswerGroup], vote: Vote) -> int | None:
    """Return the index of the group that a vote chooses, found by itself."""
    measures = [(g.reward_max, g.reward_sum, g.votes)[VOTES.index(vote)] for g in groups]
    return measures.index(max(measures)) if measures else None


def candidate(
    answer: str, reward: float | None, multiplicity: int = 1, finish: Finish = "eos"
) -> Candidate:
    return Candidate(
        text=f"so {answer}",
        steps=(),
        reward=reward,
        answer=answer,
        finish=finish,
        multiplicity=multiplicity,
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
    verdict = tally(candidates, [c.answer for c in candidates])
    assert verdict.choices == {"prm": "1", "weighted": "2", "majority": "3"}
    assert [choose(verdict.groups, vote) for vote in VOTES] == [0, 1, 2]


def test_a_group_speaks_with_the_text_of_its_best_and_earliest_member() -> None:
    candidates = [candidate("0.5", 0.2), candidate("1/2", 0.8), candidate(r"\frac12", 0.8)]
    (group,) = tally(candidates, ["k", "k", "k"]).groups
    assert group == AnswerGroup("1/2", 3, pytest.approx(1.8), 0.8)  # type: ignore[arg-type]


def test_a_candidate_counts_as_often_as_it_was_sampled() -> None:
    candidates = [candidate("1", 0.5), candidate("2", 0.25, multiplicity=4)]
    groups = tally(candidates, ["1", "2"]).groups
    assert [(g.votes, g.reward_sum, g.reward_max) for g in groups] == [(1, 0.5, 0.5), (4, 1, 0.25)]
    assert [choose(groups, vote) for vote in VOTES] == [0, 1, 1]


def test_empty_and_truncated_answers_do_not_vote() -> None:
    candidates = [
        candidate("", 0.9, multiplicity=9),
        candidate("1", 0.9, multiplicity=9, finish="length"),
        candidate("2", 0.1),
    ]
    verdict = tally(candidates, ["", "1", "2"])
    assert [group.answer for group in verdict.groups] == ["2"]


def test_nothing_to_choose_from() -> None:
    verdict = tally([candidate("", 0.5)], [""])
    assert verdict.choices == {"prm": "", "weighted": "", "majority": ""}
    assert choose(verdict.groups, "prm") is None


def test_without_a_prm_the_votes_still_count() -> None:
    verdict = tally([candidate(a, None) for a in "122"], list("122"))
    assert verdict.choices["majority"] == "2"
    assert verdict.groups[1] == AnswerGroup("2", 2, 0.0, 0.0)


@pytest.mark.parametrize("vote", VOTES)
def test_ties_go_to_the_earliest(vote: Vote) -> None:
    verdict = tally([candidate(a, 0.5) for a in "abcab"], list("abcab"))
    assert choose(verdict.groups[:2], vote) == 0
    assert verdict.ranked(vote)[0].answer == "a"


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1)
)
def test_the_winner_is_best_by_its_own_measure(votes: list[tuple[str, float]]) -> None:
    verdict = tally([candidate(*vote) for vote in votes], [answer for answer, _ in votes])
    answers = list(dict.fromkeys(answer for answer, _ in votes))
    assert [group.answer for group in verdict.groups] == answers
    rewards = {a: [reward for answer, reward in votes if answer == a] for a in answers}
    assert verdict.choices == {
        "prm": max(answers, key=lambda a: max(rewards[a])),
        "weighted": max(answers, key=lambda a: sum(rewards[a])),
        "majority": max(answers, key=lambda a: len(rewards[a])),
    }
    for vote, choice in verdict.choices.items():
        assert verdict.groups[choose(verdict.groups, vote) or 0].answer == choice


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([0.1, 0.25, 0.5])), min_size=1))
def test_a_multiplicity_is_as_good_as_repeated_candidates(votes: list[tuple[str, float]]) -> None:
    repeated = [candidate(*vote) for vote in votes for _ in range(3)]
    counted = [candidate(*vote, multiplicity=3) for vote in votes]
    groups = [tally(cs, [c.answer for c in cs]).groups for cs in (repeated, counted)]
    for one, other in zip(*groups, strict=True):
        assert (one.answer, one.votes, one.reward_max) == (
            other.answer,
            other.votes,
            other.reward_max,
        )
        assert one.reward_sum == pytest.approx(other.reward_sum)


def test_an_unknown_vote_is_refused() -> None:
    with pytest.raises(ValueError, match="loudest"):
        Verdict(()).ranked("loudest")  # type: ignore[arg-type]


def test_a_key_for_each_candidate() -> None:
    with pytest.raises(ValueError, match="zip"):
        tally([candidate("1", 0.5)], [])
