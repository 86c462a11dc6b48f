"""A score that is missing speaks neither for nor against what it is of."""

import pytest

from ttc_client.answers import extract_answer
from ttc_client.errors import TTCError
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.results import Rules, candidates
from ttc_client.search.rewards import reward_of, values_of
from ttc_client.testing import ScriptedPolicy, run_search, walk


@pytest.mark.parametrize(
    ("scores", "reduction", "reward"),
    [
        ((None, 0.5), "last", 0.5),
        ((0.5, None), "last", None),
        ((0.5, None), "min", None),
        ((None, 0.5), "mean", None),
        ((0.5, 0.25), "prod", 0.125),
    ],
)
def test_a_reward_is_made_of_all_that_it_needs_or_missing(scores, reduction, reward):
    assert reward_of(scores, reduction) == reward


def test_a_sibling_without_a_reward_ranks_as_the_others_do_on_average():
    assert values_of([0.2, None, 0.6], 0.9) == pytest.approx([0.2, 0.4, 0.6])
    assert values_of([None, None], 0.9) == [0.9, 0.9]


async def some(request: ScoreRequest) -> Scores:
    """Score what is good, and say nothing of the rest."""
    return Scores(
        tuple(tuple(0.8 if "bad" not in step else None for step in item) for item in request.items)
    )


async def nothing(request: ScoreRequest) -> Scores:
    return Scores(tuple((None,) * len(item) for item in request.items))


@pytest.mark.parametrize("strategy", ["best-of-n", "beam", "dvts"])
@pytest.mark.parametrize("verifier", [some, nothing])
async def test_candidates_without_a_score_stay_and_have_no_reward(strategy, verifier):
    params = SearchParams(strategy=strategy, n=8)
    found = await run_search(params, ScriptedPolicy(walk), verifier)

    async def keys(answers):
        return answers

    ballot = Ballot(extract_answer, keys)
    read, groups = await candidates(found.picks, params, ballot, Rules(), scored=True)
    assert sum(candidate.votes for candidate in read) == 8
    for candidate in read:
        last = candidate.steps[-1]
        assert candidate.reward == last.score == (None if verifier is nothing else last.score)
        if "bad" in last.text:
            assert candidate.reward is None
    assert sum(group.votes for group in groups) == 8
    assert all(group.reward_max in (0.0, 0.8) for group in groups)


async def test_the_toolkit_which_knows_no_missing_score_is_not_imitated_with_one():
    params = SearchParams(strategy="best-of-n", n=4, compat="sal")
    with pytest.raises(TTCError, match="scores are missing"):
        await run_search(params, ScriptedPolicy(walk), nothing)
