"""JSON answers: found in replies, equal by meaning, held against a schema."""

import json

import pytest

from ttc_client.bench.dataset import load_problems
from ttc_client.errors import ConfigError
from ttc_client.tasks.json_values import canonical_text, contains, exact, f1, json_in
from ttc_client.tasks.structured import Json
from ttc_client.tasks.table import find_task
from ttc_client.testing import check_task
from ttc_client.types import Problem

PROBLEM = Problem(question="?", gold='{"a": 1, "b": [1, 2]}')
SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('First {"a": 0}, then\n```json\n{"a": 1}\n```\nDone.', '{"a": 1}'),
        ('```\n{"a": 0}\n```\n```JSON\n{"a": 1}\n```', '{"a": 1}'),
        ('```json\n{"a": 1}', '{"a": 1}'),
        ('The value is {"a": {"b": [1]}}.', '{"a": {"b": [1]}}'),
        ("[1, 2] and [3]", "[3]"),
        ("17", "17"),
        ('"word"', '"word"'),
        ("It is 17.", ""),
        ('{"a": NaN}', ""),
        ('{"a": 1,}', ""),
        ('{"a": 1', ""),
        ("", ""),
        ("[" * 100_000, ""),
        ('{"a":' * 5_000, ""),
    ],
)
def test_the_last_value_of_a_reply_is_found(text, found):
    assert json_in(text) == found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1, "b": 2}', '{"b":2.0,"a":1e0}', True),
        ("100", "1E2", True),
        ("0.1", "0.10", True),
        ("-0.0", "0", True),
        ('"\\u00e9"', '"é"', True),
        ("9007199254740993", "9007199254740992", False),
        ("[1, 2]", "[2, 1]", False),
        ("1", "true", False),
        ("1", '"1"', False),
        ("null", "false", False),
    ],
)
def test_values_are_equal_by_meaning(one, other, same):
    assert (canonical_text(one) == canonical_text(other)) is same
    assert exact(one, other) == same


def test_parts_of_a_value_count_by_where_they_stand():
    gold = '{"a": 1, "b": [2, 3]}'
    assert f1('{"b": [3, 2], "a": 1.0}', gold) == 1
    assert f1('{"a": 1, "b": [2]}', gold) == pytest.approx(0.8)
    assert f1("{}", "[]") == 0
    assert contains('{"a": 1, "b": [2, 3, 4], "c": 0}', gold) == 1
    assert contains('{"a": 2, "b": [2, 3]}', gold) == 0
    assert contains("no JSON", gold) == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("score", ["exact", "f1", "contains"])
async def test_json_passes_the_contract_of_tasks(score):
    right = ['```json\n{"b": [1.0, 2], "a": 1}\n```', '{"a":1,"b":[1,2]}']
    await check_task(Json(score=score), PROBLEM, right, ['{"a": 2}', "no", ""])


def test_what_does_not_fit_the_schema_gives_no_answer(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    for schema in (str(file), json.dumps(SCHEMA)):
        task = find_task("json", schema=schema)
        assert task.extract(PROBLEM, '{"a": 1}') == '{"a": 1}'
        assert task.extract(PROBLEM, '{"a": "x"}') == ""
        assert task.extract(PROBLEM, '{"b": 1}') == ""
        assert '"required": ["a"]' in task.messages(PROBLEM)[0].content
    own = Problem(question="?", data={"schema": '{"type": "array"}'})
    assert task.extract(own, '{"a": 1}') == ""
    assert task.extract(own, "[1]") == "[1]"


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("nowhere.json", "schema is nowhere.json: .*No such file"),
        ('{"type": 3}', "the schema is not a JSON schema"),
        ('{"type"', "the schema is not a JSON schema"),
    ],
)
def test_a_schema_that_is_none_is_said(schema, says):
    with pytest.raises(ConfigError, match=says):
        Json(schema=schema)


def test_gold_values_and_schemas_are_read_off_rows(tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [
        {"question": "1", "answer": {"x": 1.50, "y": [True, None]}, "schema": SCHEMA},
        {"question": "2", "answer": '{"x": 1.5}'},
        {"question": "3", "answer": "word"},
        {"question": "4", "answer": 7},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    problems = load_problems(str(path), Json())
    golds = [json.loads(problem.gold) for problem in problems]
    assert golds == [{"x": 1.5, "y": [True, None]}, {"x": 1.5}, "word", 7]
    assert json.loads(problems[0].data["schema"]) == SCHEMA
