"""Accuracies for programs: plain names, shares that are called shares, None for what is unknown."""

import json
from dataclasses import replace

import msgspec

from tests.analysis.records import record, run
from ttc_client.analysis.curves import read_curves
from ttc_client.report.rows import accuracy_rows

WON, LOST = (True, True, True), (False, False, False)
FOUR = [(0, 0.9), (1, 0.5), (1, 0.6), (-1, 0.99)]


def as_json(*runs) -> list[dict]:
    return json.loads(msgspec.json.encode(accuracy_rows(read_curves(runs))))


def test_strategy_vote_and_run_are_apart_and_no_key_has_a_space():
    made = [run(record("dvts", 4, FOUR), name=name, m=m) for name, m in (("one", 2), ("two", 4))]
    rows = as_json(*made)
    assert {(row["strategy"], row["vote"], row["run"]) for row in rows} == {
        ("dvts", vote, name)
        for vote in ("prm", "weighted", "majority", "pass")
        for name in ("one", "two")
    }
    assert all(key.isidentifier() and key == key.lower() for row in rows for key in row)


def test_shares_are_of_1_and_costs_are_means_of_a_search():
    searched = [
        record("dvts", 4, FOUR, name=name, seed=seed, correct=right)
        for name, right in (("a", WON), ("b", LOST))
        for seed in (0, 1)
    ]
    (row,) = [row for row in as_json(run(*searched)) if row["vote"] == "weighted"]
    assert (row["share_right"], row["n"], row["problems"], row["seeds"]) == (0.5, 4, 2, 2)
    assert 0 <= row["share_right_low"] <= 0.5 <= row["share_right_high"] <= 1
    assert row["share_right_seed_sd"] == 0
    assert (row["completion_tokens"], row["prm_tokens"], row["wall_s"]) == (800, 800, 2)


def test_what_is_not_known_is_none():
    without = replace(run(record("greedy", 1, [(0, None)])), costs={})
    (row,) = as_json(without)
    assert (row["vote"], row["run"], row["share_right_seed_sd"]) == ("majority", "", None)
    assert row["completion_tokens"] is row["requests"] is row["wall_s"] is None
