"""Problem sets from files, columns by any name, and which problems of them are taken."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from pyarrow import parquet

from ttc_client.bench.dataset import Selection, load_problems
from ttc_client.errors import ConfigError
from ttc_client.tasks.math import Math
from ttc_client.types import Problem

ROWS = [
    {"unique_id": "a", "problem": "1+1?", "answer": "2", "level": 1, "subject": "Sums"},
    {"unique_id": "b", "problem": "2·3?", "answer": "6", "level": 2, "subject": "Products"},
]
MATH = Math()
PROBLEMS = (
    Problem(question="1+1?", id="a", gold="2", level="1", subject="Sums"),
    Problem(question="2·3?", id="b", gold="6", level="2", subject="Products"),
)


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
        assert load_problems(source, MATH) == PROBLEMS


def test_a_hugging_face_dataset_is_loaded_by_its_id_config_and_split(monkeypatch):
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert load_problems("someone/maths", MATH, split="train") == PROBLEMS
    assert load_problems("someone/maths:hard", MATH) == PROBLEMS
    assert asked == [
        (("someone/maths", None), {"split": "train"}),
        (("someone/maths", "hard"), {"split": "test"}),
    ]


def test_without_the_extra_a_hugging_face_dataset_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install .\.\[datasets\]. in the checkout"):
        load_problems("someone/maths", MATH)


def test_demomath_is_the_fixed_test_set():
    problems = load_problems("demomath", MATH)
    assert len(problems) == 500
    assert {problem.level for problem in problems} == set("12345")


def test_columns_of_other_names_are_mapped(tmp_path):
    source = json_lines(tmp_path / "p.jsonl", {"q": "1+1?", "gt": 2.0, "level": "Level 3"})
    columns = {"problem": "q", "answer": "gt"}
    assert load_problems(source, MATH, columns) == (
        Problem(question="1+1?", id="0", gold="2", level="3"),
    )


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "p", "solution": r"so $\boxed{18}$"},
        {"question": "p", "answer": "9 + 9 = 18\n#### 18"},
    ],
)
def test_an_answer_is_found_in_a_solution(tmp_path, row):
    (problem,) = load_problems(json_lines(tmp_path / "p.jsonl", row), MATH)
    assert problem.gold == "18"


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
        load_problems(str(path), MATH, columns)


@pytest.mark.parametrize("source", ["nowhere.jsonl", "maths", "notes.txt"])
def test_an_unknown_source_is_refused_with_its_name(source):
    with pytest.raises(ConfigError, match=source):
        load_problems(source, MATH)


def numbered(count: int) -> list[Problem]:
    return [
        Problem(question=f"p{i}", id=str(i), gold=str(i), level=str(i % 3)) for i in range(count)
    ]


def test_shards_are_disjoint_and_together_the_whole():
    shards = [Selection(limit=10, shard=(i, 3)).of(numbered(20)) for i in (1, 2, 3)]
    together = sorted((p for shard in shards for p in shard), key=lambda p: int(p.id))
    assert together == list(Selection(limit=10).of(numbered(20)))
    assert [len(shard) for shard in shards] == [4, 3, 3]


def test_levels_come_before_the_limit():
    chosen = Selection(levels=("1", "2"), limit=3).of(numbered(9))
    assert len(chosen) == 3
    assert {problem.level for problem in chosen} == {"1", "2"}


def test_a_limit_draws_of_each_level_its_share_and_the_same_problems_each_time():
    problems = [
        Problem(question=f"p{i}", id=str(i), level=level)
        for i, level in enumerate("1" * 40 + "2" * 20 + "3" * 40)
    ]
    chosen = Selection(limit=10).of(problems)
    assert [problem.level for problem in chosen] == [*"1111", *"22", *"3333"]
    assert chosen == Selection(limit=10).of(problems)
    assert chosen[:4] != tuple(problems[:4])
    assert [int(problem.id) for problem in chosen] == sorted(int(p.id) for p in chosen)


@pytest.mark.parametrize("limit", [1, 2, 7, 33, 99, 100, 101])
def test_a_limit_gives_exactly_as_many_as_it_says(limit):
    problems = numbered(100)
    assert len(Selection(limit=limit).of(problems)) == min(limit, 100)


def test_what_was_selected_is_said_unless_it_is_all():
    assert Selection().said(9, 9) == ""
    said = Selection(levels=("1", "2"), limit=3, shard=(1, 2)).said(2, 9)
    assert said.startswith("2 of 9 problems: of level 1, 2, a sample with each level's share")
    assert said.endswith("shard 1 of 2")


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
