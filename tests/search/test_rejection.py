"""Speculative rejection: what is written on from a checkpoint, and how it is read."""

import pytest

from tests.search.orders import answered_in
from tests.search.pieces import Pieces
from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.rejection import RejectionSettings
from ttc_client.testing import ScriptedVerifier, run_search

TEXTS = [f"{i}. " + "x" * 34 + rf"\boxed{{{i}}}" for i in range(8)]
"""Of 46 characters; the first says how good it is."""


def params(n: int = 8, **settings: float) -> SearchParams:
    own = RejectionSettings(**{"checkpoint": 10, **settings})  # pyright: ignore[reportArgumentType]
    return SearchParams(strategy="rejection", n=n, settings=own)


def by_number(text: str) -> float:
    return int(text[0]) / 10


async def test_each_checkpoint_rejects_the_worst_half_of_what_is_unfinished():
    policy = Pieces(TEXTS)
    found = await run_search(params(), policy, ScriptedVerifier(by_number))
    went_on = [
        {r.trajectory.path[0] for r in policy.requests if len(r.trajectory.path) == depth}
        for depth in (1, 2, 3, 4)
    ]
    assert went_on == [{4, 5, 6, 7}, {6, 7}, {7}, {7}]
    assert {(r.max_tokens, r.is_piece) for r in policy.requests} == {(10, True)}
    assert [pick.trajectory.text for pick in found.picks] == [TEXTS[7]]
    assert found.note == "7 of 8 rejected"
    assert len([t for t in found.sampled if len(t.path) == 1]) == 8
    assert policy.num_tokens == 8 * 10 + 4 * 10 + 2 * 10 + 10 + 6


async def test_a_verifier_turned_upside_down_keeps_the_worst():
    found = await run_search(params(), Pieces(TEXTS), ScriptedVerifier(lambda t: 1 - by_number(t)))
    assert [pick.trajectory.text for pick in found.picks] == [TEXTS[0]]


@pytest.mark.parametrize(("reject", "left"), [(0.1, 8), (0.125, 7), (0.3, 6), (0.9, 1), (0.99, 1)])
async def test_the_share_is_rounded_down_and_one_is_always_left(reject, left):
    policy = Pieces(TEXTS)
    await run_search(params(reject=reject), policy, ScriptedVerifier(by_number))
    assert sum(r.n for r in policy.requests if len(r.trajectory.path) == 1) == left


async def test_what_has_ended_is_never_rejected_nor_counted():
    texts = [r"0 \boxed{0}" if i == 0 else text for i, text in enumerate(TEXTS[:5])]
    found = await run_search(params(5, checkpoint=11), Pieces(texts), ScriptedVerifier(by_number))
    assert [pick.trajectory.text for pick in found.picks] == [texts[0], texts[4]]
    assert found.note == "3 of 5 rejected"


async def test_copies_are_scored_once_and_kept_as_many_as_there_is_room_for():
    texts = [*["9 same " + "y" * 20] * 3, *TEXTS[:3]]
    policy, verifier = Pieces(texts), ScriptedVerifier(by_number)
    await run_search(params(6, reject=0.6), policy, verifier)
    assert [(r.n, r.trajectory.path) for r in policy.requests][:2] == [(6, ()), (3, (0,))]
    assert len(verifier.requests[0].items) == 4


async def test_a_search_without_a_checkpoint_says_that_none_was_rejected():
    found = await run_search(
        params(3, checkpoint=600), Pieces(TEXTS[:3]), ScriptedVerifier(by_number)
    )
    assert found.note == "0 of 3 rejected: too few were unfinished after 600 tokens"


async def test_the_verifier_reads_whole_steps_wherever_a_checkpoint_cuts_them():
    text = "9 one\n\nsecond step\n\nand \\boxed{3}"
    for checkpoint in range(1, len(text)):
        verifier = ScriptedVerifier(by_number)
        found = await run_search(params(1, checkpoint=checkpoint), Pieces([text]), verifier)
        (pick,) = found.picks
        assert pick.trajectory.readings == ("9 one", "second step", "and \\boxed{3}")
        assert len(pick.trajectory.scores) == 3
        for request in verifier.requests:
            assert request.prefix == ("9 one", "second step")[: len(request.prefix)]


async def test_the_outcome_does_not_depend_on_the_order_of_replies():
    outcomes = []
    for order in range(5):
        async with answered_in(order) as gate:
            found = await run_search(params(), Pieces(TEXTS, gate), ScriptedVerifier(by_number))
            outcomes.append((found.picks, found.sampled))
    assert all(outcome == outcomes[0] for outcome in outcomes)


async def test_a_piece_that_fails_costs_its_completion_alone():
    policy = Pieces(TEXTS)
    whole = policy.write

    def write(request: SampleRequest, i: int):
        if request.trajectory.path[:1] == (7,):
            raise ServerError("gone", url="http://nowhere", status=500)
        return whole(request, i)

    policy.write = write
    found = await run_search(params(), policy, ScriptedVerifier(by_number))
    assert [pick.trajectory.text for pick in found.picks] == [TEXTS[6]]


async def test_a_limit_per_completion_ends_what_is_left():
    found = await run_search(
        SearchParams(
            strategy="rejection", n=4, max_completion_tokens=25, settings=params().settings
        ),
        Pieces(TEXTS),
        ScriptedVerifier(by_number),
    )
    assert {pick.trajectory.finish for pick in found.picks} == {"length"}
    assert {pick.trajectory.num_tokens for pick in found.picks} == {25}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reject": 0.0}, "reject is 0.0: it must lie between 0 and 1"),
        ({"reject": 1.0}, "reject is 1.0"),
        ({"reject": float("nan")}, "reject is nan"),
        ({"checkpoint": 0}, "checkpoint is 0: it must be 1 or more"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(ConfigError, match=says):
        RejectionSettings(**settings)
