"""Searches beside best-of-n at equal tokens: what is interpolated, and who pays."""

from math import sqrt

import pytest

from ttc_client.analysis.curves import Curve, Point, Points, Spent
from ttc_client.analysis.payoff import Payoff, payoffs

BEST_OF_N, DVTS, BEAM = (Curve(name, "weighted") for name in ("best-of-n", "dvts", "beam"))
NAMES = [f"p{i}" for i in range(20)]


def point(share: float, tokens: float, prm: float = 0.0, names=NAMES) -> Point:
    """A search that is right on the first problems, and costs the same on all."""
    spent = Spent(tokens, 0.0, prm, 1.0, 1.0)
    right = {name: {0: float(int(name[1:]) < share * len(NAMES))} for name in names}
    return Point(right, {name: {0: spent} for name in names})


BASELINE = {1: point(0.2, 100), 4: point(0.5, 400), 16: point(0.6, 1600)}


def found(points: Points, ratio: float = 1.0) -> dict[tuple[str, int], Payoff]:
    return {(p.curve.strategy, p.n): p for p in payoffs(points, ratio)}


def test_best_of_n_is_interpolated_along_the_logarithm_of_the_cost():
    rows = found({BEST_OF_N: BASELINE, DVTS: {4: point(0.9, 200), 8: point(0.9, 400)}})
    halfway, level = rows["dvts", 4], rows["dvts", 8]
    assert halfway.like_n == pytest.approx(2)
    assert halfway.gain
    assert halfway.gain.difference == pytest.approx(0.9 - 0.35)
    assert level.like_n == pytest.approx(4)
    assert level.gain
    assert level.gain.difference == pytest.approx(0.4)
    assert level.gain.num_problems == 20
    uneven = found({BEST_OF_N: BASELINE, DVTS: {4: point(0.9, 100 * 4**0.25)}})["dvts", 4]
    assert uneven.like_n == pytest.approx(sqrt(2))
    assert uneven.gain
    assert uneven.gain.difference == pytest.approx(0.9 - (0.75 * 0.2 + 0.25 * 0.5))


def test_tokens_of_the_verifier_count_by_its_size():
    by_n = {n: point(share, n * 100, n * 100) for n, share in ((1, 0.2), (4, 0.5))}
    rows = found({BEST_OF_N: by_n, DVTS: {4: point(0.5, 100, 250)}}, ratio=2.0)
    assert rows["dvts", 4].tokens == 600
    assert rows["best-of-n", 4].tokens == 1200
    assert rows["dvts", 4].like_n == pytest.approx(2)


def test_it_pays_only_if_the_interval_leaves_out_nothing():
    rows = found({BEST_OF_N: BASELINE, DVTS: {4: point(0.9, 400)}, BEAM: {4: point(0.52, 400)}})
    assert rows["dvts", 4].pays
    assert not rows["beam", 4].pays
    worse = found({BEST_OF_N: BASELINE, BEAM: {4: point(0.1, 400)}})["beam", 4]
    assert worse.gain
    assert worse.gain.high < 0
    assert not worse.pays


def test_what_costs_more_than_all_of_best_of_n_is_beside_its_largest_and_said_to_be_beyond():
    rows = found({BEST_OF_N: BASELINE, DVTS: {64: point(0.9, 9000), 1: point(0.3, 50)}})
    assert (rows["dvts", 64].like_n, rows["dvts", 64].is_beyond) == (16, True)
    assert (rows["dvts", 1].like_n, rows["dvts", 1].is_beyond) == (1, False)
    same = found({BEST_OF_N: BASELINE, DVTS: {16: point(0.9, 1600)}})["dvts", 16]
    assert not same.is_beyond


def test_the_cheapest_come_first_and_those_lead_that_nothing_cheaper_reaches():
    rows = payoffs({BEST_OF_N: BASELINE, DVTS: {4: point(0.55, 300), 8: point(0.55, 900)}}, 1.0)
    seen = [(p.curve.strategy, p.n, p.leads) for p in rows]
    assert seen == [
        *(("best-of-n", 1, True), ("dvts", 4, True), ("best-of-n", 4, False)),
        *(("dvts", 8, False), ("best-of-n", 16, True)),
    ]
    assert all(p.gain is None for p in rows if p.curve == BEST_OF_N)


def test_two_are_compared_on_the_problems_that_both_have_done():
    few = point(1.0, 400, names=NAMES[10:])
    row = found({BEST_OF_N: BASELINE, DVTS: {4: few}})["dvts", 4]
    assert row.gain
    assert row.gain.num_problems == 10
    assert row.gain.difference == pytest.approx(1.0)
    none = found({BEST_OF_N: BASELINE, DVTS: {4: point(1.0, 400, names=["q1"])}})["dvts", 4]
    assert none.gain is None


def test_without_best_of_n_or_costs_nothing_is_compared():
    assert found({DVTS: {4: point(0.5, 100)}})["dvts", 4].gain is None
    assert payoffs({DVTS: {4: Point({"a": {0: 1.0}}, {})}}, 1.0) == []
