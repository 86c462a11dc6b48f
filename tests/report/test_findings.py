"""Findings: each sentence says what the intervals say, no more."""

from dataclasses import replace

import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.curves import Curve, Point, Spent, read_curves
from ttc_client.analysis.optimal import Arm, Validation
from ttc_client.analysis.statistics import Comparison, Estimate, compare, estimate
from ttc_client.report.findings import findings, interval, ratio, relation

NUM = 100
GREEDY = Curve("greedy", "majority")
BEST = Curve("best-of-n", "weighted")
DVTS = Curve("dvts", "weighted")
BEAM = Curve("beam", "weighted")


def point(right: set[int], tokens: float, num: int = NUM) -> Point:
    """A point of problems of which some are right; a search takes so many tokens."""
    spent = Spent(tokens, 0.0, 0.0, 1.0, 1.0)
    return Point(
        {f"p{i}": {0: float(i in right)} for i in range(num)},
        {f"p{i}": {0: spent} for i in range(num)},
    )


def first(count: int) -> set[int]:
    return set(range(count))


POINTS = {
    BEST: {4: point(first(60), 400), 64: point({*first(77), 80} - {2}, 6_400)},
    DVTS: {4: point(first(70), 400), 16: point(first(77), 1_600)},
    GREEDY: {1: point(first(46), 100)},
}


def test_each_strategy_is_told_at_its_largest_n_against_greedy_and_the_best_other():
    dvts, best, greedy, *_ = findings(POINTS, {})
    assert dvts == (
        "dvts at 16: 77.0 %, +31.0 on greedy (23 to 40), "
        "level with best-of-n at 64 (-3.0 to 3.0) at a quarter of the tokens."
    )
    assert best == (
        "best-of-n at 64: 77.0 %, +31.0 on greedy (22 to 40), "
        "level with dvts at 16 (-3.0 to 3.0) at four times the tokens."
    )
    assert greedy == "greedy: 46.0 %."


def test_what_is_worse_is_told_with_a_minus():
    worse = {**POINTS, BEAM: {16: point(first(50), 1_600)}}
    (beam,) = [line for line in findings(worse, {}) if line.startswith("beam at 16")]
    assert "level with greedy" not in beam
    assert "+4.0 on greedy (1.0 to 8.0)" in beam
    assert "-27.0 on dvts at 16 (-36 to -19) at as many tokens" in beam


def test_the_cheapest_that_is_level_with_the_best_is_named():
    assert "Nothing cheaper is level with dvts at 16." in findings(POINTS, {})
    dearer = {**POINTS, BEST: {64: point({*first(78), 80}, 6_400)}}
    assert (
        "Cheapest that is level with the best: dvts at 16 (-5.0 to 0.0), a quarter of the tokens."
    ) in findings(dearer, {})
    better = {**POINTS, BEST: {64: point(first(100), 6_400)}}
    assert "Nothing cheaper is level with best-of-n at 64." in findings(better, {})


def test_baselines_are_passed_from_the_n_on_at_which_the_interval_lies_above():
    lines = findings(POINTS, {"big": 0.55, "huge": 0.99})
    assert "Above big (55.0 %): dvts from N=4, best-of-n from N=64." in lines
    assert "Above huge (99.0 %): nothing." in lines


def test_the_last_sentence_says_what_so_few_problems_can_show():
    assert findings(POINTS, {})[-1].startswith("Level: the interval of the difference holds 0. 100")
    few = {curve: {n: point({0}, 10, 3) for n in by_n} for curve, by_n in POINTS.items()}
    *told, last = findings(few, {"big": 0.1})
    assert last == "3 problems cannot show a difference between strategies."
    assert not any("on greedy" in line or "level with" in line for line in told)
    assert "Above big (10.0 %): nothing." in told


def test_runs_with_other_settings_are_told_apart_and_compared_with_their_own_greedy():
    other = {replace_label(curve, "run-b"): by_n for curve, by_n in POINTS.items()}
    both = {**{replace_label(c, "run-a"): by_n for c, by_n in POINTS.items()}, **other}
    lines = findings(both, {})
    assert sum(line.startswith("dvts · run-a at 16: ") for line in lines) == 1
    assert sum(line.startswith("greedy · run-b: ") for line in lines) == 1


def replace_label(curve: Curve, label: str) -> Curve:
    return curve._replace(label=label)


def test_a_strategy_that_somebody_adds_is_told_like_any_other(dice):
    added = {**POINTS, Curve("dice", "weighted"): {16: point(first(80), 1_600)}}
    assert findings(added, {})[0].startswith("dice at 16: 80.0 %, +34.0 on greedy")


def test_compute_optimal_scaling_is_told_at_its_largest_n():
    right, alone = point(first(60), 1).right, point(first(50), 1).right
    made = [
        Validation(
            n, "model", estimate(right), Arm("beam", 4), estimate(alone), compare(right, alone)
        )
        for n in (4, 16)
    ]
    (line,) = [line for line in findings(POINTS, {}, made) if line.startswith("Compute-optimal")]
    assert line == (
        "Compute-optimal at 16 (model bins), cross-validated: 60.0 %, "
        "+10.0 on beam M=4, the best single strategy (5.0 to 16.0)."
    )


def test_findings_of_records_need_no_greedy_and_no_costs():
    names = [f"p{i}" for i in range(8)]
    searched = [record("beam", 4, [(0, 0.5)], name=name, correct=(True,) * 3) for name in names]
    without = replace(run(*searched), costs={})
    assert findings(read_curves([without]), {}) == ["beam at 4: 100.0 %."]
    assert findings({}, {}) == []


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (100.0, 400.0, "a quarter of the tokens"),
        (105.0, 400.0, "a quarter of the tokens"),
        (150.0, 400.0, "0.38 times the tokens"),
        (100.0, 99.0, "as many tokens"),
        (200.0, 100.0, "twice the tokens"),
        (700.0, 100.0, "7 times the tokens"),
        (123_456.0, 100.0, "1,235 times the tokens"),
        (None, 100.0, ""),
        (100.0, 0.0, ""),
    ],
)
def test_costs_are_told_as_a_ratio(one, other, words):
    assert ratio(one, other) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.28, 0.35, "(28 to 35)"),
        (0.004, 0.041, "(0.4 to 4.1)"),
        (-0.02, 0.02, "(-2.0 to 2.0)"),
        (-0.183, -0.0, "(-18.3 to 0.0)"),
        (-0.36, -0.19, "(-36 to -19)"),
        (0.0002, 0.041, "(0.02 to 4.10)"),
    ],
)
def test_an_interval_is_never_rounded_over_0(low, high, words):
    assert interval(Estimate(0.0, low, high, 0.0, 9, 1)) == words


@pytest.mark.parametrize(
    ("low", "high", "is_level"), [(0.0, 0.1, True), (-0.1, 0.0, True), (0.001, 0.1, False)]
)
def test_an_interval_that_holds_0_is_level(low, high, is_level):
    found = Comparison((low + high) / 2, low, high, 0.5, 1, 1, 9)
    assert relation(found, "x").startswith("level with x") == is_level
