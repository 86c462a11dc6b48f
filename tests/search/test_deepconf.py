"""DeepConf: where the bar lies, which traces are given up, and what the others count."""

import asyncio
from typing import Any

import pytest

from tests.search.orders import answered_in
from tests.search.pieces import Pieces
from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.deepconf import ConfidenceSettings
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.strategies import STRATEGIES
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.types import Finish, Step

GROUP = 4


def params(n: int, vote: Any = None, **settings: Any) -> SearchParams:
    own = ConfidenceSettings(**{"group": GROUP, "warmup": 4, "consensus": 1.0, **settings})
    return SearchParams(strategy="deepconf", n=n, vote=vote, settings=own)


def weights(found: Found) -> dict[int, float | None]:
    return {pick.trajectory.path[0]: pick.weight for pick in found.picks}


@pytest.mark.parametrize(
    ("keep", "voting"), [(0.25, {0}), (0.5, {0, 1}), (0.75, {0, 1, 2}), (0.9, {0, 1, 2, 3})]
)
async def test_the_best_of_the_warmup_are_above_the_bar(keep, voting):
    found = await run_search(params(4, keep=keep), Pieces([c * 8 for c in "8765"]))
    assert weights(found) == {place: 8.0 - place for place in voting}
    assert found.note == (
        f"{len(voting)} of 4 traces above the bar, a confidence of {9 - len(voting)}; "
        "the warm-up of 4 takes all 4, so that nothing is saved"
    )


async def test_a_trace_counts_by_its_lowest_group_and_a_short_one_by_its_mean():
    found = await run_search(params(3, keep=1.0), Pieces(["99991199", "8888", "78"]))
    assert weights(found) == {0: 5.0, 1: 8.0, 2: 7.5}  # 9911


async def test_a_running_trace_that_falls_below_the_bar_is_given_up():
    """A piece has at least 32 tokens; the last trace falls in its second."""
    warmup = ["6" * (80 + i) for i in range(4)]  # four answers
    online = ["7" * 80, "3" * 80, "7" * 40 + "1" * 40]
    policy = Pieces([*warmup, *online])
    found = await run_search(params(7), policy)
    assert [*weights(found)] == [0, 1, 2, 3, 4]
    assert found.note == "5 of 7 traces above the bar, a confidence of 6"
    asked = dict.fromkeys((4, 5, 6), 0)
    for request in policy.requests:
        if request.trajectory.path and request.trajectory.path[0] in asked:
            asked[request.trajectory.path[0]] += 1
    assert asked == {4: 2, 5: 0, 6: 1}  # beside the first piece of each
    assert {r.top_logprobs for r in policy.requests} == {20}


async def test_votes_are_weighted_by_confidence_and_may_be_counted():
    texts = [r"9999\boxed{a}", r"2222\boxed{b}", r"2222\boxed{b}"]
    found = await run_search(params(3, keep=1.0), Pieces(texts))
    strategy = STRATEGIES["deepconf"]
    assert strategy.vote(params(3)) == "weighted"
    by_answer = {pick.trajectory.text[-2]: pick.weight for pick in found.picks}
    assert by_answer == {"a": 5.0, "b": 2.0}
    assert strategy.checked(params(3, "majority")).vote == "majority"
    assert strategy.checked(params(3, "weighted")).vote == "weighted"
    with pytest.raises(ConfigError, match="vote is prm, but deepconf uses no verifier"):
        strategy.checked(params(3, "prm"))


async def test_a_consensus_ends_it():
    texts = [r"77 \boxed{a}"] * 64
    texts[2] = r"77 \boxed{b}"
    policy = Pieces(texts)
    found = await run_search(params(64, consensus=0.9), policy)
    # 3 of 4 in the warm-up, 9 of 10 later
    assert found.note.endswith("; consensus after 10 of 64")
    assert {t.path[0] for t in found.sampled} == set(range(10))
    assert policy.in_flight == 0
    assert len(policy.requests) <= 1 + 10 + 3


async def test_the_outcome_does_not_depend_on_the_order_of_replies():
    outcomes = []
    for order in range(5):
        async with answered_in(order) as gate:
            texts = [
                str(1 + i % 9) * (20 + 30 * (i % 3)) + rf" \boxed{{{'abcde'[i % 5]}}}"
                for i in range(24)
            ]
            found = await run_search(params(24, keep=0.5), Pieces(texts, gate))
            outcomes.append((found.picks, found.sampled, found.note))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][2].startswith("18 of 24 traces")


class Silent(ScriptedPolicy):
    """A policy that gives no log-probabilities."""

    def _step(self, request: SampleRequest, text: str, finish: Finish) -> Step:
        return Step(text, finish, 1)


async def test_without_log_probabilities_it_is_refused_by_a_probe():
    policy = Silent(walk)
    with pytest.raises(ConfigError, match=r"deepconf reads the log-probabilities .* gives none"):
        await run_search(params(8), policy)
    assert [(r.n, r.max_tokens, r.is_piece) for r in policy.requests] == [(1, 1, True)]


async def test_a_trace_whose_piece_fails_costs_itself_alone_and_is_no_consensus():
    policy = Pieces(["6" * (80 + i) for i in range(6)])
    whole = policy.write

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if request.trajectory.path[:1] == (5,):
            raise ServerError("gone", url="http://nowhere", status=500)
        return whole(request, i)

    policy.write = write
    found = await run_search(params(6), policy)
    assert [*weights(found)] == [0, 1, 2, 3, 4]
    assert found.note == "5 of 5 traces above the bar, a confidence of 6"


async def test_cancelling_closes_every_trace():
    policy = Pieces(["7" * 99] * 8, lambda r: asyncio.Event() if r.max_tokens > 1 else None)
    task = asyncio.create_task(run_search(params(8), policy, ScriptedVerifier(perfect)))
    while len(policy.requests) < 5:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert policy.in_flight == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"warmup": 0}, "warmup is 0: it must be 1 or more"),
        ({"group": 0}, "group is 0: it must be 1 or more"),
        ({"keep": 0.0}, "keep is 0.0: it must be above 0 and at most 1"),
        ({"consensus": 1.5}, "consensus is 1.5: it must be above 0 and at most 1"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(ConfigError, match=says):
        ConfidenceSettings(**settings)
