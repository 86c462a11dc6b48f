"""Curves read off records: what each search says about which strategy, vote and budget."""

from dataclasses import replace

import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.curves import Curve, read_curves
from ttc_client.bench.runs import Run
from ttc_client.types import Allocation

FOUR = [(0, 0.9), (1, 0.5), (1, 0.6), (-1, 0.99)]


def rights(curves, curve: Curve) -> dict[int, float]:
    return {n: point.right["a"][0] for n, point in curves[curve].items()}


def test_best_of_n_is_read_at_every_power_of_two_and_every_budget_of_the_grid():
    six = [*FOUR, (2, 0.1), (2, 0.2)]
    curves = read_curves([run(record("best-of-n", 6, six), n=[1, 3, 6])])
    assert set(curves) == {
        Curve("best-of-n", "prm"),
        Curve("best-of-n", "weighted"),
        Curve("majority", "majority"),
        Curve("best-of-n", "pass"),
    }
    assert all(list(points) == [1, 2, 3, 4, 6] for points in curves.values())
    prm = rights(curves, Curve("best-of-n", "prm"))
    assert prm[1] == pytest.approx(1 / 6)
    assert prm[2] == pytest.approx(1 / 3)  # right once the best is drawn
    assert rights(curves, Curve("best-of-n", "pass"))[3] == pytest.approx(1 / 2)


def test_at_the_full_n_the_searchs_own_vote_counts():
    found = record("best-of-n", 4, FOUR, correct=(False, True, True))
    curves = read_curves([run(found)])
    assert rights(curves, Curve("best-of-n", "prm"))[4] == 0
    assert rights(curves, Curve("best-of-n", "weighted"))[4] == 1


def test_a_repeated_sample_counts_as_often_as_it_was_drawn():
    whole = record("best-of-n", 4, [(0, 0.9)] * 2 + [(1, 0.2)] * 2)
    merged = replace(whole, samples=tuple(replace(s, votes=2) for s in whole.samples[::2]))
    one, other = (read_curves([run(found)]) for found in (whole, merged))
    curve = Curve("best-of-n", "pass")
    assert rights(one, curve) == rights(other, curve)


def test_tree_searches_and_greedy_are_taken_as_they_ended():
    curves = read_curves(
        [run(record("beam", 4, FOUR), record("beam", 8, FOUR), record("greedy", 1, [(0, None)]))]
    )
    assert rights(curves, Curve("beam", "prm")) == {4: 1, 8: 1}
    assert rights(curves, Curve("beam", "weighted")) == {4: 0, 8: 0}
    assert rights(curves, Curve("beam", "pass")) == {4: 1, 8: 1}
    assert rights(curves, Curve("greedy", "majority")) == {1: 0}


def test_without_a_prm_only_the_majority_is_read():
    curves = read_curves([run(record("majority", 2, [(0, None), (1, None)]))])
    assert set(curves) == {Curve("majority", "majority"), Curve("majority", "pass")}


def test_failed_searches_are_in_no_curve():
    failed = replace(record("beam", 4, []), error="no answer", grades={})
    curves = read_curves([run(failed, record("beam", 4, FOUR, name="b"))])
    assert set(curves[Curve("beam", "prm")][4].right) == {"b"}


def test_costs_are_those_of_the_part_that_a_budget_stands_for():
    curves = read_curves([run(record("best-of-n", 4, FOUR), n=[1, 4])])
    points = curves[Curve("best-of-n", "prm")]
    whole, quarter = (points[n].spent for n in (4, 1))
    assert (whole.completion_tokens, whole.prompt_tokens, whole.prm_tokens) == (800, 160, 800)
    assert (whole.requests, whole.wall_s) == (12, 2.0)
    assert (quarter.completion_tokens, quarter.prm_tokens, quarter.wall_s) == (200, 200, None)
    unscored = curves[Curve("majority", "majority")][4].spent
    assert (unscored.prm_tokens, unscored.requests) == (0, 4)
    assert whole.flops(policy_params=10, prm_params=100) == 2 * (10 * 960 + 100 * 800)


def test_shards_and_seeds_are_one_run_and_other_settings_another():
    shards = [
        run(record("beam", 4, FOUR, name=name), name=name, shard=f"{i}/2")
        for i, name in enumerate("ab", 1)
    ]
    (curve,) = [c for c in read_curves(shards) if c.measure == "prm"]
    assert curve.label == ""
    assert set(read_curves(shards)[curve][4].right) == {"a", "b"}
    wide = run(record("beam", 4, FOUR), name="wide", m=8)
    labels = {curve.label for curve in read_curves([*shards, wide])}
    assert labels == {"a", "wide"}


def test_runs_are_told_apart_by_the_own_settings_of_strategies_that_they_share():
    def grown(name: str, **own: int) -> Run:
        settings = {strategy: {"lookahead": ahead} for strategy, ahead in own.items()}
        return run(*(record(s, 4, FOUR, name=name) for s in own), name=name, own=settings)

    runs = [grown("a", beam=0), grown("b", beam=0, dvts=1), grown("c", dvts=1)]
    assert {curve.label for curve in read_curves(runs)} == {""}
    assert {curve.label for curve in read_curves([*runs, grown("d", dvts=2)])} == {"a", "d"}


def test_runs_of_one_name_and_other_settings_are_told_apart_by_their_paths():
    runs = [run(record("beam", 4, FOUR), name=f"m{m}/run", m=m) for m in (4, 8)]
    assert {curve.label for curve in read_curves(runs)} == {"run", "m8/run"}


@pytest.mark.parametrize(("vote", "right"), [("majority", 1), ("weighted", 0)])
def test_compute_optimal_scaling_counts_by_the_vote_that_decided_and_once(vote, right):
    found = record("compute-optimal", 8, FOUR, correct=(False, False, True), vote=vote)
    found = replace(found, allocation=Allocation(2, 0.5, 2, "dvts", None))
    curves = read_curves([run(found)])
    assert rights(curves, Curve("compute-optimal", "table")) == {8: right}
    assert rights(curves, Curve("compute-optimal", "pass")) == {8: 1}
    assert [curve.measure for curve in curves if curve.is_main] == ["table"]


def test_curves_say_what_they_are():
    assert Curve("majority", "majority").name == "majority"
    assert Curve("greedy", "majority").name == "greedy"
    assert Curve("beam", "majority", "wide").name == "beam (majority) · wide"
    assert Curve("compute-optimal", "model bins").name == "compute-optimal (model bins)"
    assert Curve("majority", "pass").name == "majority (pass)"
    assert Curve("deepconf", "majority").name == "deepconf (majority)"  # it decides by weights
    assert Curve("deepconf", "weighted").is_main
