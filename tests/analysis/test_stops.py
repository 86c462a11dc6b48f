"""What an early stop would have come to, against the rule itself on each order of the samples."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.stops import STOPS, Stop, _needed, _race, _stops_at, estimate_stops
from ttc_client.report.stops import stops_said, stops_table
from ttc_client.search.tally import posterior

N = 24


def _by_hand(answers: list[int], weights: list[float], level: float | None) -> tuple[int, int]:
    """Return the sample that decides and the answer that leads then, one sample at a time."""
    support: Counter[int] = Counter()
    for index, (answer, weight) in enumerate(zip(answers, weights, strict=True)):
        if answer >= 0:
            support[answer] += weight
        (leader, first), (_, second), *_ = [*support.most_common(2), (-1, 0.0), (-1, 0.0)]
        if level is None:
            decided = first > second + len(answers) - 1 - index
        else:
            decided = posterior(first, second) >= level
        if decided:
            return index, leader
    return len(answers) - 1, leader


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: f"{stop.vote}-{stop.level}")
def test_it_stops_where_the_rule_does(stop: Stop):
    rng = np.random.default_rng(0)
    answers = rng.choice((-1, 0, 0, 0, 0, 1, 1, 2), (200, N))
    weights = np.ones((200, N)) if stop.vote == "majority" else 1 - rng.random((200, N)) ** 3
    race = _race(answers, weights, 3)
    at = _stops_at(race, stop.level)
    expected = [_by_hand(a, w, stop.level) for a, w in zip(answers.tolist(), weights, strict=True)]
    margin = 0.02 if stop == Stop("weighted", 0.95) else 0.0  # between whole votes, interpolated
    assert np.mean(at != [index for index, _ in expected]) <= margin
    for order, (index, leader) in enumerate(expected):
        if at[order] == index < N - 1:  # at the end, there may be a tie
            assert race.leader[order, index] == leader
    assert len(set(at.tolist())) > 5


def test_the_votes_that_a_level_needs():
    least = _needed(0.95, 16)
    assert [np.ceil(votes - 1e-9) for votes in least[:3]] == [4, 6, 8]
    assert len(least) == 9


def test_what_four_equal_answers_save():
    made = run(record("best-of-n", 16, [(0, 1.0)] * 16))
    found = {each.stop: each for each in estimate_stops([made])}
    majority = found[Stop("majority", 0.95)]
    assert (majority.curve.name, majority.n) == ("majority", 16)
    assert (majority.taken, majority.share, majority.most) == (4, 4 / 16, 5 / 16)
    assert (majority.accuracy, majority.change.difference) == (1, 0)
    certain = found[Stop("weighted", None)]
    assert (certain.curve.name, certain.taken) == ("best-of-n (weighted)", 9)  # 9 against 7


def test_tokens_are_those_of_all_problems_together():
    """An easy problem saves 12 of 16 samples of 10 tokens, a hard one none of 16 of 90."""
    easy = record("majority", 16, [(0, None)] * 16, name="easy")
    hard = record("majority", 16, [(-1, None)] * 16, name="hard")
    longer = tuple(replace(sample, num_tokens=90) for sample in hard.samples)
    found = {e.stop: e for e in estimate_stops([run(easy, replace(hard, samples=longer))])}
    assert found[Stop("majority", 0.95)].share == (4 * 10 + 16 * 90) / (16 * 10 + 16 * 90)


def test_a_wrong_lead_at_the_start_costs_something():
    samples = [(0, 0.5)] * 14 + [(1, 0.5)] * 10
    found = {e.stop: e for e in estimate_stops([run(record("majority", N, samples))])}
    assert {stop.vote for stop in found} == {"majority"}
    quick, slow = found[Stop("majority", 0.9)], found[Stop("majority", 0.99)]
    assert quick.change.difference < slow.change.difference <= 0
    assert quick.taken < slow.taken <= N


def test_what_stops_by_itself_is_not_replayed_nor_is_a_tree():
    own = {"best-of-n": {"stop_at": 0.95}}
    stopped = run(record("best-of-n", 4, [(0, 1.0)] * 4), own=own)
    assert not estimate_stops([stopped, run(record("dvts", 4, [(0, 1.0)] * 4))])


def test_it_is_tabulated_and_said():
    records = [record("best-of-n", 16, [(0, 0.9)] * 16, name=f"p{i}") for i in range(8)]
    found = estimate_stops([run(*records)])
    table = stops_table(found)
    rows = {row[:3]: row for row in table.texts() and table.rows}
    assert rows["majority", 16, "0.95"][8:11] == (4, 25.0, 31.25)
    assert ("best-of-n (weighted)", 16, "0.95 of rewards") in rows
    assert stops_said(found)[1] == (
        "majority at 16 with --stop-at 0.95, estimated on random orders of its samples: 31 % of "
        "the tokens, +0.0 points (0.0 to 0.0)."
    )
    few = estimate_stops([run(*records[:3])])
    assert few
    assert not stops_said(few)
