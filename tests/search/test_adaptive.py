"""Adaptive consistency: when a search stops, what it has asked for by then, and what it keeps."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.search.orders import answered_in
from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.adaptive import StopSettings
from ttc_client.search.dvts import SubtreeSettings
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.strategies import STRATEGIES
from ttc_client.search.watch import Watch
from ttc_client.settings.config import load_settings
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.types import Finish, Trajectory


def params(strategy: str, n: int = 64, vote: Any = None, **settings: Any) -> SearchParams:
    own = STRATEGIES[strategy].settings(**{"stop_at": 0.95, **settings})
    return SearchParams(strategy=strategy, n=n, vote=vote, settings=own)


class Scripted(ScriptedPolicy):
    """Write the answers given, one for each completion that is asked for, in that order."""

    def __init__(self, answers: Sequence[str], gate: Any = lambda request: None) -> None:
        super().__init__(self._answer, gate)
        self.answers = answers

    def _answer(self, request: SampleRequest, i: int) -> tuple[str, Finish]:
        place = [r.seed for r in self.requests].index(request.seed)
        return rf"{place} so \boxed{{{self.answers[place]}}}", "eos"


def by_place(rewards: Sequence[float]) -> ScriptedVerifier:
    return ScriptedVerifier(lambda text: rewards[int(text.split()[0])])


@pytest.mark.parametrize(
    ("answers", "level", "taken"),
    [
        ("aaaa", 0.95, 4),  # 1 - 1/32
        ("aaaaaa", 0.99, 6),  # 1 - 1/128
        ("aaaa", 0.96875, 4),  # exactly
        ("abaaaaa", 0.95, 7),  # 1 - 8/128 after "abaaaa", 1 - 9/256 after the next
        ("abcaaaaa", 0.95, 8),
    ],
)
async def test_a_majority_stops_when_the_leader_is_sure_enough(answers, level, taken):
    policy = Scripted(answers + "z" * 64)
    found = await run_search(params("majority", stop_at=level), policy)
    assert found.note == f"decided after {taken} of 64"
    assert [pick.trajectory.path for pick in found.picks] == [(i,) for i in range(taken)]
    assert [t.path for t in found.sampled] == [(i,) for i in range(taken)]
    assert {request.n for request in policy.requests} == {1}
    assert taken <= len(policy.requests) <= taken + 3  # 64/16 in flight, one of them decided it


async def test_what_gives_no_answer_says_nothing_and_what_is_cut_neither():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        place = len(policy.requests)
        return (r"\boxed{a}", "length") if place % 2 else ("nothing", "eos")

    policy = ScriptedPolicy(write)
    found = await run_search(params("majority", 8), policy)
    assert (found.note, sum(pick.votes for pick in found.picks)) == ("", 8)


@pytest.mark.parametrize(
    ("rewards", "answers", "taken"),
    [
        ([1.0] * 8, "a" * 8, 5),  # 5 against at most 3
        ([0.9] * 8, "a" * 8, 5),  # 4.5 against at most 3
        ([0.6] * 8, "a" * 8, 6),  # 3.6 against at most 2; after five, 3.0 against 3
        ([1, 1, 1, 1, 1, 0.5, 1, 1], "aaaabbbb", 6),  # 4 against 1.5 + 2; after five, 4 against 4
        ([0.1] * 8, "ab" * 4, None),
    ],
)
async def test_the_weighted_vote_stops_when_no_other_answer_can_catch_up(rewards, answers, taken):
    found = await run_search(params("best-of-n", 8), Scripted(answers), by_place(rewards))
    assert found.note == ("" if taken is None else f"decided after {taken} of 8")
    assert len(found.sampled) == (taken or 8)


async def test_a_majority_of_scored_completions_goes_by_votes():
    found = await run_search(
        params("best-of-n", 64, "majority"), Scripted("a" * 64), by_place([0.01] * 64)
    )
    assert found.note == "decided after 4 of 64"


async def outcome(search: SearchParams, order: int) -> Found:
    """Search with replies in a random order."""
    async with answered_in(order) as gate:
        policy = ScriptedPolicy(lambda r, i: walk(r, i, p_good=0.9), gate)
        return await run_search(search, policy, ScriptedVerifier(perfect))


@pytest.mark.parametrize("strategy", ["majority", "best-of-n", "dvts"])
async def test_neither_the_window_nor_the_order_of_replies_decides_anything(strategy):
    found = [
        await outcome(params(strategy, 32, window=window), order)
        for window in (None, 1, 3, 32)
        for order in range(3)
    ]
    assert found[0].note.startswith("decided after")
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize(
    ("strategy", "n", "window", "ahead"),
    [
        ("majority", 64, None, 4),
        ("majority", 8, None, 2),
        ("majority", 64, 7, 7),
        ("best-of-n", 256, None, 16),
        ("dvts", 64, None, 2 * 4),
        ("dvts", 256, None, 4 * 4),
    ],
)
async def test_no_more_than_a_window_is_in_flight(strategy, n, window, ahead):
    policy = ScriptedPolicy(lambda r, i: walk(r, i, p_good=0.5))
    await run_search(params(strategy, n, window=window), policy, ScriptedVerifier(perfect))
    assert policy.most_in_flight == ahead


class Heard(Watch):
    def __init__(self) -> None:
        self.launched_, self.sampled_, self.dropped_ = 0, 0, 0

    def launched(self, parent: Trajectory, n: int) -> None:
        self.launched_ += n

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        self.sampled_ += n

    def dropped(self, parent: Trajectory, n: int) -> None:
        self.dropped_ += n


async def test_what_is_in_flight_at_the_stop_is_closed_and_leaves_no_trace():
    """Four of an answer decide; what is fifth hangs, and the sixth has come already."""
    policy = Scripted("aaaabb", lambda r: asyncio.Event() if policy.requests[4] is r else None)
    heard = Heard()
    found = await asyncio.wait_for(
        run_search(params("majority", 64, window=6), policy, watch=heard), 5
    )
    assert found.note == "decided after 4 of 64"
    assert [t.path for t in found.sampled] == [(0,), (1,), (2,), (3,)]
    assert len(policy.cancelled) == heard.dropped_ >= 1
    assert heard.launched_ == heard.sampled_ + heard.dropped_ == len(policy.requests)
    assert policy.in_flight == 0


async def test_one_that_failed_counts_in_its_turn_and_costs_itself_alone():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if request.seed == policy.requests[1].seed:
            raise ServerError("gone", url="http://nowhere", status=500)
        return rf"{request.seed} \boxed{{a}}", "eos"

    policy = ScriptedPolicy(write)
    found = await run_search(params("majority"), policy)
    assert [t.path for t in found.sampled] == [(0,), (2,), (3,), (4,)]


async def test_dvts_stops_after_some_subtrees_and_the_best_m_of_each_vote():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if request.trajectory.steps:
            return rf"end {i} \boxed{{a}}", "eos"
        return (rf"short {i} \boxed{{a}}", "eos") if i else ("on\n\n", "stop")

    def judge(text: str) -> float:
        return 1.0 if text.endswith("on") else 0.9 if "end" in text else 0.1

    policy = ScriptedPolicy(write)
    search = params("dvts", 32)
    found = await run_search(search, policy, ScriptedVerifier(judge))
    # 7 completions a subtree, of which the best 4 vote: 18 against at most 12 after 5 of 8
    assert found.note == "decided after 5 of 8 subtrees"
    assert {t.path[0] // 4 for t in found.sampled} == {0, 1, 2, 3, 4}
    assert sum(pick.votes for pick in found.picks) == 5 * 4
    assert all("end" in pick.trajectory.text for pick in found.picks)
    assert len({r.trajectory.path for r in policy.requests if r.trajectory.steps}) <= 6


async def accuracy(search: SearchParams, judge: Any = perfect) -> tuple[float, float]:
    """Return the share of right weighted votes, and the mean number of completions."""
    right = taken = 0
    for i in range(40):
        found = await run_search(
            search,
            ScriptedPolicy(lambda r, i: walk(r, i, p_good=0.8)),
            ScriptedVerifier(judge),
            question=f"problem {i}",
        )
        sums: dict[str, float] = {}
        for pick in found.picks:
            answer = pick.trajectory.text.partition("boxed")[2]
            sums[answer] = sums.get(answer, 0.0) + pick.trajectory.value
        right += max(sums, key=sums.__getitem__) == "{right}"
        taken += sum(t.multiplicity for t in found.sampled if t.finished)
    return right / 40, taken / 40


@pytest.mark.parametrize("strategy", ["best-of-n", "dvts"])
async def test_a_stopped_vote_is_as_right_as_a_full_one_and_cheaper(strategy):
    full, all_taken = await accuracy(params(strategy, 16, stop_at=None))
    stopped_, taken = await accuracy(params(strategy, 16))
    assert stopped_ >= full - 0.05 > 0.8
    assert taken < all_taken


async def test_a_verifier_turned_upside_down_ruins_it():
    worst, _ = await accuracy(params("dvts", 16), lambda text: 1 - perfect(text))
    assert worst < 0.2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"stop_at": 0.5}, "stop_at is 0.5: it must lie between 0.5 and 1"),
        ({"stop_at": 95.0}, "stop_at is 95.0: it must lie between 0.5 and 1"),
        ({"stop_at": float("nan")}, "stop_at is nan"),
        ({"stop_at": 0.9, "window": 0}, "window is 0: it must be 1 or more"),
        ({"window": 4}, "window is 4: it needs stop_at"),
    ],
)
@pytest.mark.parametrize("kind", [StopSettings, SubtreeSettings])
def test_bad_settings_are_named(kind, settings, says):
    with pytest.raises(ConfigError, match=says):
        kind(**settings)


@pytest.mark.parametrize("strategy", ["best-of-n", "dvts"])
def test_the_best_reward_is_never_sure(strategy):
    with pytest.raises(ConfigError, match="vote is prm, which a last sample may turn"):
        STRATEGIES[strategy].checked(params(strategy, vote="prm"))


def test_a_window_that_is_no_number_is_named_by_what_it_must_be():
    with pytest.raises(ConfigError, match=r"window is 'x' \(from flag\): .* a whole number$"):
        load_settings({"window": "x"}, {})


def test_the_toolkits_strategies_never_stop_early():
    settings = load_settings({"strategy": "majority", "compat": "sal", "stop_at": 0.9}, {})
    with pytest.raises(ConfigError, match=r"majority has no such setting: leave it out$"):
        _ = settings.params
