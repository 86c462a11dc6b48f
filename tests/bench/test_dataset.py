"""Problem sets from files, columns by any name, and which problems of them are taken."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from pyarrow import parquet

from ttc_client.bench.dataset import Problem, Selection, load_problems
from ttc_client.errors import ConfigError

ROWS = [
    {"unique_id": "a", "problem": "1+1?", "answer": "2", "level": 1, "subject": "Sums"},
    {"unique_id": "b", "problem": "2·3?", "answer": "6", "level": 2, "subject": "Products"},
]
PROBLEMS = (Problem("a", "1+1?", "2", "1", "Sums"), Problem("b", "2·3?", "6", "2", "Products"))


def json_lines(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_three_kinds_of_file_say_the_same(tmp_path):
    lines = json_lines(tmp_path / "p.jsonl", *ROWS)
    table = tmp_path / "p.csv"
    table.write_text("unique_id,problem,answer,level,subject\na,1+1?,2,1,Sums\nb,2·3?,6,2,Products")
    columns = tmp_path / "p.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), columns)
    for source in (lines, str(table), str(columns)):
        assert load_problems(source) == PROBLEMS


def test_a_cell_that_no_csv_reader_takes_is_refused(tmp_path):
    table = tmp_path / "p.csv"
    table.write_text("problem,answer\n" + "1" * (1 << 18) + ",2\n")
    with pytest.raises(ConfigError, match=r"p\.csv cannot be read: field larger than"):
        load_problems(str(table))


def test_a_hugging_face_dataset_is_loaded_by_its_id_config_and_split(monkeypatch):
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert load_problems("someone/maths", split="train") == PROBLEMS
    assert load_problems("someone/maths:hard") == PROBLEMS
    assert asked == [
        (("someone/maths", None), {"split": "train"}),
        (("someone/maths", "hard"), {"split": "test"}),
    ]


def test_without_the_extra_a_hugging_face_dataset_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'ttc-client\[datasets\]'"):
        load_problems("someone/maths")


def test_demomath_is_the_fixed_test_set():
    problems = load_problems("demomath")
    assert len(problems) == 500
    assert {problem.level for problem in problems} == set("12345")


def test_columns_of_other_names_are_mapped(tmp_path):
    source = json_lines(tmp_path / "p.jsonl", {"q": "1+1?", "gt": 2.0, "level": "Level 3"})
    columns = {"problem": "q", "answer": "gt"}
    assert load_problems(source, columns) == (Problem("0", "1+1?", "2", "3"),)


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "p", "solution": r"so $\boxed{18}$"},
        {"question": "p", "answer": "9 + 9 = 18\n#### 18"},
    ],
)
def test_an_answer_is_found_in_a_solution(tmp_path, row):
    (problem,) = load_problems(json_lines(tmp_path / "p.jsonl", row))
    assert problem.answer == "18"


@pytest.mark.parametrize(
    ("content", "columns", "says"),
    [
        ('{"problem": "p"}\n', {}, "row 0 has no answer; its columns are problem: name .* answer="),
        ('{"problem": " ", "answer": "1"}\n', {}, "row 0 has no problem"),
        ('{"problem": "p", "answer": "1"}\n', {"answer": "gt"}, "row 0 has no column 'gt'"),
        ('{"problem": "p", "answer": "1"}\n', {"anwser": "gt"}, "column is 'anwser'"),
        ('{"problem": "p", "answer": "1", "id": 7}\n' * 2, {}, "the id '7' is given to several"),
        ('{"problem": "p", "answer": "1"}\n{"problem', {}, "line 2 is no JSON object"),
        ("", {}, "there is no problem"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, content, columns, says):
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match=says):
        load_problems(str(path), columns)


@pytest.mark.parametrize("source", ["nowhere.jsonl", "maths", "notes.txt"])
def test_an_unknown_source_is_refused_with_its_name(source):
    with pytest.raises(ConfigError, match=source):
        load_problems(source)


def numbered(count: int) -> list[Problem]:
    return [Problem(str(i), f"p{i}", str(i), level=str(i % 3)) for i in range(count)]


def test_shards_are_disjoint_and_together_the_whole():
    shards = [Selection(limit=10, shard=(i, 3)).of(numbered(20)) for i in (1, 2, 3)]
    assert sorted((p for shard in shards for p in shard), key=lambda p: int(p.id)) == numbered(10)
    assert [len(shard) for shard in shards] == [4, 3, 3]


def test_levels_come_before_the_limit():
    chosen = Selection(levels=("1", "2"), limit=3).of(numbered(9))
    assert [problem.id for problem in chosen] == ["1", "2", "4"]


@pytest.mark.parametrize(
    ("choose", "says"),
    [
        (lambda: Selection(shard=(0, 2)), "shard is 0/2"),
        (lambda: Selection(shard=(3, 2)), "shard is 3/2"),
        (lambda: Selection(limit=0), "limit is 0"),
        (lambda: Selection(levels=("9",)).of(numbered(9)), "level 9: the set's levels are 0, 1, 2"),
        (lambda: Selection(shard=(9, 9)).of(numbered(2)), "no problem is selected"),
    ],
)
def test_an_impossible_selection_is_refused(choose, says):
    with pytest.raises(ConfigError, match=says):
        choose()
