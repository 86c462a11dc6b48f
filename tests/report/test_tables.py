"""Tables of runs: shares, costs, pairs, and text that cannot break out of a cell."""

import csv
import io
import json
from dataclasses import replace

import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.curves import read_curves
from ttc_client.report.tables import (
    ModelSizes,
    Table,
    accuracy_table,
    comparison_table,
    failure_table,
    grader_table,
    group_table,
    side_by_side,
)
from ttc_client.report.terminal import clean, print_json
from ttc_client.runtime.records import GradedAnswer

WON, LOST = (True, True, True), (False, False, False)
FOUR = [(0, 0.9), (1, 0.5), (1, 0.6), (-1, 0.99)]
RUN = run(
    record("best-of-n", 4, FOUR, name="a", correct=WON),
    record("best-of-n", 4, FOUR, name="b", correct=LOST),
    record("dvts", 4, FOUR, name="a", correct=WON),
    record("dvts", 4, FOUR, name="b", correct=WON),
)
CURVES = read_curves([RUN])


def rows(table: Table) -> list[dict]:
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_accuracy_and_cost_of_each_curve_and_n():
    table = rows(accuracy_table(CURVES, ModelSizes(policy=10, prm=100)))
    (dvts,) = [row for row in table if row["strategy"] == "dvts (weighted)"]
    assert (dvts["N"], dvts["accuracy"], dvts["problems"]) == (4, 1, 2)
    assert (dvts["tokens"], dvts["PRM tokens"], dvts["FLOPs"]) == (800, 800, 179_200)
    (majority,) = [row for row in table if row["strategy"] == "majority" and row["N"] == 4]
    assert (majority["accuracy"], majority["FLOPs"]) == (0.5, 2 * 10 * 960)


def test_flops_need_the_sizes_of_the_models_that_took_part():
    table = rows(accuracy_table(CURVES, ModelSizes(policy=10)))
    known = {row["strategy"] for row in table if row["FLOPs"] is not None}
    assert known == {"majority"}


def test_strategies_are_compared_in_pairs_by_the_votes_that_decide():
    table = {(row["strategy"], row["against"]): row for row in rows(comparison_table(CURVES))}
    pair = table["best-of-n (weighted)", "dvts (weighted)"]
    assert pair["N"] == 4
    assert (pair["difference"], pair["better"], pair["worse"], pair["problems"]) == (-0.5, 0, 1, 2)
    assert table.keys() == {
        ("best-of-n (weighted)", "majority"),
        ("best-of-n (weighted)", "dvts (weighted)"),
        ("majority", "dvts (weighted)"),
    }


def test_greedy_decoding_is_compared_with_every_strategy_at_every_n():
    greedy = [
        record("greedy", 1, [(0, None)], name=name, correct=right)
        for name, right in (("a", LOST), ("b", WON))
    ]
    table = rows(comparison_table(read_curves([run(*RUN.records.values(), *greedy)])))
    against = {(row["strategy"], row["N"]) for row in table if row["against"] == "greedy"}
    assert ("dvts (weighted)", 4) in against
    assert {("majority", n) for n in (1, 2, 4)} < against
    (dvts,) = [r for r in table if (r["strategy"], r["against"]) == ("dvts (weighted)", "greedy")]
    assert (dvts["difference"], dvts["better"], dvts["worse"], dvts["problems"]) == (0.5, 1, 0, 2)
    assert not any(row["strategy"] == "greedy" for row in table)


def test_greedy_decoding_is_compared_within_its_run():
    made = [
        run(record("greedy", 1, [(0, None)]), record("beam", 4, FOUR), name=name, m=m)
        for name, m in (("one", 2), ("two", 4))
    ]
    table = rows(comparison_table(read_curves(made)))
    pairs = [(r["strategy"], r["against"]) for r in table if r["against"].startswith("greedy")]
    assert pairs == [
        ("beam (weighted) · one", "greedy · one"),
        ("beam (weighted) · two", "greedy · two"),
    ]


def test_columns_that_hold_nothing_are_left_out_for_people_alone():
    table = Table("t", ("a", "b", "c", "d"), (("x", None, "", 0), ("y", float("nan"), "", 1)))
    assert table.filled().header == ("a", "d")
    assert table.filled().texts() == [["x", "0"], ["y", "1"]]
    assert table.filled().numeric() == [False, True]
    assert table.csv().startswith("a,b,c,d\n")


def test_groups_of_problems_are_told_apart():
    table = rows(group_table(CURVES, {"easy": ["a"], "hard": ["b"], "none": ["c"]}, "kind"))
    found = {row["kind"]: row["accuracy"] for row in table if row["strategy"] == "majority"}
    assert found == {"easy": 1, "hard": 0}


def test_people_see_groups_side_by_side():
    groups = {"easy": ["a"], "hard": ["b"], "none": ["c"]}
    table = side_by_side(group_table(CURVES, groups, "kind"))
    assert table.header == ("strategy", "N", "kind easy", "kind hard")
    (dvts,) = [row for row in table.texts() if row[0] == "dvts (weighted)"]
    assert dvts == ["dvts (weighted)", "4", "100.0 (100.0–100.0)", "100.0 (100.0–100.0)"]
    (best,) = [row for row in table.texts() if row[:2] == ["best-of-n (weighted)", "4"]]
    assert best[2:] == ["100.0 (100.0–100.0)", "0.0 (0.0–0.0)"]


def test_failures_and_ungraded_answers_are_listed():
    failed = replace(record("beam", 8, []), error="no answer")
    late = replace(record("dvts", 4, FOUR, name="b"), num_ungraded=2)
    assert failure_table([RUN]).rows == ()
    assert failure_table([run(failed, late)]).rows == (
        ("run", "", "", 2, ""),
        ("run", "a", "beam N=8", 0, "no answer"),
    )


def test_a_table_for_people_is_rounded_and_one_for_programs_is_not():
    table = Table(
        "t",
        ("strategy", "accuracy", "p", "tokens", "FLOPs"),
        (("x", 1 / 3, 0.0004, 1234.5, 1.5e18),),
    )
    assert table.texts() == [["x", "33.3", "< 0.001", "1,234.5", "1.50e+18"]]
    (_, row) = csv.reader(io.StringIO(table.csv()))
    assert float(row[1]) == pytest.approx(1 / 3, abs=1e-16)


def test_markup_in_a_cell_stays_in_its_cell():
    hostile = "a | b\nc\\|<img src=x onerror=alert(1)>\x1b[2J"
    table = Table("t", ("error", "n"), ((hostile, None),))
    assert table.markdown().splitlines() == [
        "| error | n |",
        "| ---: | ---: |",
        r"| a \| b c\\\|&lt;img src=x onerror=alert(1)&gt;�\[2J | – |",
    ]
    assert list(csv.reader(io.StringIO(table.csv())))[1] == [hostile, ""]


def test_json_on_a_terminal_is_the_same_json_without_what_terminals_act_on(capsys):
    hostile = "\x9b2J\x7f\u202eabc\x1b[2J\n½"
    print_json({"answer": hostile})
    line = capsys.readouterr().out
    assert json.loads(line) == {"answer": hostile}
    assert clean(line) == line


def test_answers_on_which_another_grader_differs_from_our_own_are_listed_and_counted():
    graded = (GradedAnswer("1", 1.0, own=0.0), GradedAnswer("2", 0.0, own=0.0))
    records = [
        replace(record("best-of-n", 2, [(0, 0.9), (1, 0.1)], seed=seed), answers=graded)
        for seed in (0, 1)
    ]
    table = grader_table([run(*records, task={"grader_name": "math-verify 0.9.0"})])
    assert table.rows == (("a", "1", "1", "math-verify 0.9.0", 1.0, 0.0, 2),)
