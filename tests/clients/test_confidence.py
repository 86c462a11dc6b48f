"""The policy's own confidence: the likelihood of what it wrote, or of its weakest stretch."""

from math import exp, log

import pytest

from ttc_client.clients import confidence
from ttc_client.clients.confidence import Confidence
from ttc_client.errors import ProtocolError
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest
from ttc_client.testing import ScriptedPolicy, run_search, walk
from ttc_client.types import Problem, Step

PROBLEM = Problem(question="p")


def step(text: str, *logps: float, confidences: tuple[float, ...] = ()) -> Step:
    return Step(text, "stop", len(logps or confidences), logprobs=logps, confidences=confidences)


async def score(top: int, prefix: int, *sampled: Step):
    readings = [text for s in sampled for text in s.text.split("\n\n") if text]
    request = ScoreRequest(
        PROBLEM, tuple(readings[:prefix]), (tuple(readings[prefix:]),), (sampled,)
    )
    return (await Confidence(top).score(request)).scores[0]


async def test_the_likelihood_is_the_geometric_mean_over_all_tokens_so_far():
    first, second = step("a\n\n", -0.5, -1.5), step("b\n\n", -4.0)
    assert await score(0, 0, first, second) == pytest.approx((exp(-1.0), exp(-2.0)))
    assert await score(0, 1, first, second) == pytest.approx((exp(-2.0),))


async def test_the_length_of_a_text_does_not_count():
    short, long = step("a", -0.5), step("a", *[-0.5] * 50)
    assert await score(0, 0, short) == pytest.approx(await score(0, 0, long))


async def test_the_steps_of_a_completion_sampled_whole_all_get_its_score():
    assert await score(0, 0, step("a\n\nb\n\nc", -1.0, -3.0)) == pytest.approx((exp(-2.0),) * 3)


async def test_the_lowest_group_counts_however_sure_the_rest_is(monkeypatch):
    monkeypatch.setattr(confidence, "GROUP_TOKENS", 2)
    sure, weak = 10.0, 4.0
    trace = step("a", confidences=(sure, sure, weak, weak, sure, sure))
    assert await score(20, 0, trace) == pytest.approx((1 - log(20) / weak,))
    better = step("a", confidences=(sure, sure, weak, sure, weak, sure))
    assert (await score(20, 0, better))[0] > (await score(20, 0, trace))[0]


async def test_a_group_is_as_sure_as_its_tokens_from_even_chances_to_certainty():
    assert await score(20, 0, step("a", confidences=(log(20),))) == pytest.approx((0.0,))
    assert (await score(20, 0, step("a", confidences=(1e6,))))[0] > 0.999


@pytest.mark.parametrize(
    ("top", "given", "says"),
    [
        (0, step("a", confidences=(3.0,)), "no log-probabilities"),
        (20, step("a", -1.0), "--top-logprobs 0"),
        (20, step("a", confidences=(log(5),)), "5 for TGI"),
    ],
)
async def test_what_the_policy_does_not_give_is_said_with_the_fix(top, given, says):
    with pytest.raises(ProtocolError, match=says):
        await score(top, 0, given)


async def test_a_completion_without_a_token_has_none_to_be_sure_of():
    assert await score(0, 0, step("a\n\n", -1.0), Step("", "length", 0)) == (exp(-1.0),)


async def test_the_likelier_answer_wins_a_search():
    policy = ScriptedPolicy(
        lambda request, i: walk(request, i, length=2),
        logprob=lambda text: -3.0 if "bad" in text else -0.1,
    )
    for strategy in ("best-of-n", "dvts"):
        params = SearchParams(strategy=strategy, n=16, vote="prm")
        found = await run_search(params, policy, Confidence(0).score, top_logprobs=0)
        best = max(found.picks, key=lambda pick: pick.trajectory.value)
        assert "right" in best.trajectory.text
