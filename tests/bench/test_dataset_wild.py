"""Problem sets as people have them: odd cells, marks, endings, numbers, ids and missing answers."""

import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from ttc_client.bench.cells import CellError, JSONNumber, question_of, text_of
from ttc_client.bench.dataset import ProblemSet, load_problems, read_problem_set
from ttc_client.bench.readers import READERS
from ttc_client.errors import ConfigError
from ttc_client.tasks.math import Math

TASK = Math()


def read(path: Path, content: str | bytes, **columns: str) -> ProblemSet:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_problem_set(str(path), TASK, columns)


def gold(tmp_path: Path, cell: str) -> str:
    """Return the answer that is read off a JSON cell."""
    (problem,) = read(tmp_path / "p.jsonl", f'{{"problem": "q", "answer": {cell}}}\n').problems
    return problem.gold


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('["7"]', "7"),
        ("[7]", "7"),
        ('[["7"]]', "7"),
        ('["x=1", "x=2"]', "x=1, x=2"),
        ('["7", null]', "7"),
        (r'["$\\frac{3}{8}$"]', r"$\frac{3}{8}$"),
        ("true", "True"),
        ("0.00002", "0.00002"),
        ("2e-5", "0.00002"),
        ("1.25E-7", "0.000000125"),
        ("3.5e20", "3.5e20"),
        ("3.5E+20", "3.5e20"),
        ("1e3", "1000"),
        ("6.0", "6"),
        ("-6.000", "-6"),
        ("-0.0", "0"),
        ("0.10", "0.10"),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("[0.5, 1e-6]", "0.5, 0.000001"),
    ],
)
def test_a_json_cell_is_the_text_that_people_write(tmp_path, cell, expected):
    assert gold(tmp_path, cell) == expected


@pytest.mark.parametrize(
    ("cell", "holds"),
    [
        ('{"value": 7}', "an object"),
        ('[{"value": 7}]', "an object"),
        ("9" * 5000, "line 1 .*out of range"),
    ],
)
def test_an_answer_that_is_no_text_is_refused_with_its_column(tmp_path, cell, holds):
    with pytest.raises(ConfigError, match=holds) as caught:
        read(tmp_path / "p.jsonl", f'{{"problem": "q", "gt": {cell}}}', answer="gt")
    assert "gt" in str(caught.value) or "line 1" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2e-5, "0.00002"),
        (3.5e20, "3.5e20"),
        (-7.0, "-7"),
        (float("nan"), ""),
        (float("inf"), ""),
        (b"7", "7"),
        (("a", "b"), "a, b"),
        ([], ""),
        (JSONNumber("1e400"), "1e400"),
    ],
)
def test_cells_of_other_kinds_of_file(value, expected):
    assert text_of(value) == expected


def test_bytes_that_are_no_text_are_none():
    with pytest.raises(CellError, match="not text"):
        text_of(b"\xff")


def test_a_question_may_be_one_users_message():
    message = {"role": "user", "content": "How many?"}
    assert question_of([message]) == question_of(message) == "How many?"
    parts = [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]
    assert question_of([{"role": "user", "content": parts}]) == "How many?"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "assistant", "content": "7"}],
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
        [{"role": "user", "content": {"deep": 1}}],
        [{"text": "q"}],
    ],
)
def test_a_longer_conversation_is_refused_with_its_column(tmp_path, messages):
    row = {"problem": messages, "answer": "7"}
    with pytest.raises(ConfigError, match="'problem', which cannot be the problem"):
        read(tmp_path / "p.jsonl", json.dumps(row))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (r"We add. So the sum is $\boxed{2.5}\ \mathrm{m}$ in all.", "2.5"),
        ("Two and two make four, so the answer is 4.", "4"),
        ("**Answer:** 12", "12"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("x = 5", "x = 5"),
        ("a line that ends with 9", "a line that ends with 9"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
    ],
)
def test_the_answer_is_read_off_a_solution_in_its_column(tmp_path, cell, expected):
    assert gold(tmp_path, json.dumps(cell)) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "id,problem,answer\np7,q½,7\n"),
        ("p.csv", "id;problem;answer\np7;q½;7\n"),
        ("p.tsv", "id\tproblem\tanswer\np7\tq½\t7\n"),
        ("p.jsonl", '{"id": "p7", "problem": "q½", "answer": "7"}\n'),
        ("p.json", '[{"id": "p7", "problem": "q½", "answer": "7"}]'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, name, content, encoding):
    (problem,) = read(tmp_path / name, content.encode(encoding)).problems
    assert (problem.id, problem.question, problem.gold) == ("p7", "q½", "7")


def test_a_long_cell_of_a_csv_is_read_and_the_processs_limit_left_as_it_was(tmp_path):
    import csv

    before = csv.field_size_limit()
    found = read(tmp_path / "p.csv", f"problem,answer,log\nq,7,{'x' * 300_000}\n")
    assert len(found.problems) == 1
    assert csv.field_size_limit() == before


ROWS = [{"problem": f"q{i}", "answer": str(i)} for i in range(3)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", json.dumps(ROWS)),
        ("p.json", json.dumps(ROWS, indent=2)),
        ("p.json", json.dumps({"version": 2, "data": ROWS})),
        ("p.json", "\n".join(map(json.dumps, ROWS))),
        ("p.json", json.dumps({k: {str(i): r[k] for i, r in enumerate(ROWS)} for k in ROWS[0]})),
        ("p.JSONL", "\n".join(map(json.dumps, ROWS))),
        ("p.CSV", "problem,answer\nq0,0\nq1,1\nq2,2"),
        ("p.csv", "problem, answer \r\nq0,0\r\n\r\nq1,1\r\nq2,2,\r\n"),
        ("p.v2.tsv", "problem\tanswer\nq0\t0\nq1\t1\nq2\t2\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_ending_is_read_in_any_case_and_compressed(tmp_path, name, content, packed):
    data = gzip.compress(content.encode()) if packed else content
    found = read(tmp_path / (name + ".gz" * packed), data)
    assert [(p.question, p.gold) for p in found.problems] == [("q0", "0"), ("q1", "1"), ("q2", "2")]
    assert not found.note


def test_a_parquet_file_with_lists_and_missing_numbers(tmp_path):
    rows = [{"problem": "q", "answer": ["1", "2"], "level": float("nan"), "raw": b"\xff"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p.PARQUET")
    (problem,) = load_problems(str(tmp_path / "p.PARQUET"), TASK)
    assert (problem.gold, problem.level) == ("1, 2", "")


def test_a_file_with_another_ending_is_told_which_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.xlsx").touch()
    with pytest.raises(ConfigError) as caught:
        load_problems("data/test.xlsx", TASK)
    assert all(ending in str(caught.value) for ending in (*READERS, ".gz"))


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_leaves_a_cell_empty(tmp_path, name):
    line = f'{{"problem": "is NaN \\"NaN\\" one?", "answer": "4", "level": {name}, "x": [{name}]}}'
    (problem,) = read(tmp_path / "p.jsonl", line).problems
    assert (problem.question, problem.level) == ('is NaN "NaN" one?', "")
    assert read(tmp_path / "p.json", f"[{line}]").problems == (problem,)


def test_a_number_that_is_free_is_given_to_rows_without_an_id(tmp_path):
    ids = ["1", None, None, 0, "", "5", None]
    rows = [{"problem": f"q{i}", "answer": "7", "id": name} for i, name in enumerate(ids)]
    found = read(tmp_path / "p.jsonl", "\n".join(map(json.dumps, rows))).problems
    assert [p.id for p in found] == ["1", "7", "2", "0", "4", "5", "6"]


def test_rows_without_an_answer_are_left_out_said_and_counted(tmp_path):
    content = "problem,answer\nq0,0\nq1,\n,7\nq3,3,4,5\nq4,4\n"
    found = read(tmp_path / "p.csv", content)
    assert [(p.id, p.gold) for p in found.problems] == [("0", "0"), ("4", "4")]
    assert found.left_out == (
        "row 1 has no answer",
        "row 2 has no problem",
        "row 3 has more cells than columns",
    )
    assert found.note.startswith("3 of 5 rows are left out: row 1 has no answer, row 2")


def test_a_note_about_many_rows_is_short(tmp_path):
    found = read(tmp_path / "p.csv", "problem,answer\nq,1\n" + "q,\n" * 500)
    assert found.note.startswith("500 of 501 rows are left out")
    assert len(found.note) < 200


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.jsonl", '{"a":' * 100_000, "line 1 is no JSON object: it is nested too deeply"),
        ("p.json", "[" * 100_000, "nested too deeply"),
        ("p.json", "7", "not a list of objects"),
        ("p.json", "[1, 2]", "not a list of objects"),
        ("p.json", "{}", "no problem in it"),
        ("p.json", '{"a": [{}], "b": [{}]}', "several lists"),
        ("p.jsonl", b'{"problem": "\xff"}', "cannot be read"),
        ("p.jsonl", '{"problem": "\\ud800", "answer": "1"}', "line 1"),
        ("p.csv", b"problem,answer\n\xff,1\n", "cannot be read"),
        ("p.csv", "", "no problem in it"),
        ("p.csv", "problem,answer\nq\n", "row 0 has no answer; its columns are problem"),
        ("p.csv", "a,b\n1,2,3\n", "more cells than columns: is a text with a comma"),
        ("p.jsonl.gz", b"\x1f\x8b\x08rubbish", "compressed|cannot be read"),
        ("p.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "compressed"),
        ("p.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_in_words(tmp_path, name, content, says):
    with pytest.raises(ConfigError, match=says):
        read(tmp_path / name, content)
