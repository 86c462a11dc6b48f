"""Judged solutions: ProcessBench's and PRMBench's layouts, and what each counts from."""

import json

import pytest

from ttc_client.bench.solutions import read_solutions
from ttc_client.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(*rows) -> str:
        path = tmp_path / "set.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def process_bench(label, steps=("a", "b", "c"), **more):
    return {"id": "gsm8k-0", "problem": "p", "steps": list(steps), "label": label, **more}


def prm_bench(error_steps, kind="circular", **more):
    return {
        "question": "p",
        "modified_process": ["a", "b\n\nb", "c\n  "],
        "error_steps": error_steps,
        "classification": kind,
        "idx": "i",
        **more,
    }


def test_process_bench_counts_from_0_and_says_nothing_of_later_steps(write):
    (wrong,) = read_solutions(write(process_bench(1))).solutions
    assert (wrong.error, wrong.labels, wrong.subset) == (1, (True, False, None), "gsm8k")
    (right,) = read_solutions(write(process_bench(-1))).solutions
    assert (right.error, right.labels) == (None, (True, True, True))


def test_prm_bench_counts_from_1_and_labels_every_step(write):
    (wrong,) = read_solutions(write(prm_bench([2]))).solutions
    assert (wrong.error, wrong.labels, wrong.subset) == (1, (True, False, True), "circular")
    assert wrong.steps == ("a", "b\n\nb", "c")  # a blank line splits no step


def test_no_error_is_a_right_solution_and_no_missing_label(write):
    (right,) = read_solutions(write(prm_bench([], "multi_solutions"))).solutions
    assert right.error is None


def test_a_mark_beyond_the_last_step_is_left_out_and_said(write):
    found = read_solutions(write(prm_bench([1, 4]), prm_bench([4], idx="j")))
    assert [s.labels for s in found.solutions] == [(False, True, True)]
    assert any("row 1 calls only steps wrong" in note for note in found.notes)
    assert any("2 rows call a step wrong that they do not have" in note for note in found.notes)


def test_right_solutions_are_those_of_the_redundancy_class_alone_and_ids_hold_the_class(write):
    original = {"original_process": ["a", "c"]}
    rows = [prm_bench([2], kind, **original) for kind in ("circular", "redundency")]
    found = read_solutions(write(*rows)).solutions
    ids = ["circular/i", "redundency/i", "redundency/i/original"]
    assert [(s.id, s.error) for s in found] == [(ids[0], 1), (ids[1], 1), (ids[2], None)]
    assert found[2].subset == "correct"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (process_bench(3), "has the label 3, not an index of its 3 steps or -1"),
        (process_bench(-2), "has the label -2"),
        (process_bench(True), "has the label True"),
        (process_bench(1, steps=()), "has no list of steps in steps"),
        (process_bench(1, steps=("a", 7)), "has no list of steps in steps"),
        (process_bench(1, steps=("a", " ")), "has no list of steps in steps"),
        (process_bench(1, problem=""), "has no problem"),
        (process_bench(1, labels=[True, True, False]), "has labels that do not fit its label 1"),
        (prm_bench([0]), "has error_steps that do not count from 1"),
        (prm_bench("2"), "has error_steps that are no list"),
        ({"problem": "p", "answer": "1"}, "has neither label, as in ProcessBench, nor error_steps"),
    ],
    ids=range(11),
)
def test_a_row_that_fits_no_layout_is_left_out_with_the_reason(write, row, said):
    found = read_solutions(write(row, process_bench(0, id="x")))
    assert [s.id for s in found.solutions] == ["x"]
    assert f"row 0 {said}" in found.notes[0]
    with pytest.raises(ConfigError, match=f"row 0 {said}".replace("[", r"\[")):
        read_solutions(write(row))


def test_a_repeated_id_is_named(write):
    found = read_solutions(write(process_bench(0), process_bench(1)))
    assert "row 1 has the id 'gsm8k-0' of another" in found.notes[0]


def test_demoprocess_has_as_many_right_as_wrong_solutions_and_always_the_same():
    found = read_solutions("demoprocess").solutions
    assert len(found) == 500
    assert 240 <= sum(s.error is None for s in found) <= 260
    assert all(len(s.labels) == len(s.steps) and None not in s.labels for s in found)
    assert found == read_solutions("demoprocess").solutions


def test_another_name_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=r"Qwen/ProcessBench, or demoprocess"):
        read_solutions("demomath.txt")
