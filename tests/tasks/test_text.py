"""Short texts: read behind their mark, equal as SQuAD compares them, scored as asked."""

import asyncio
import json

import pytest

from ttc_client.bench.dataset import load_problems
from ttc_client.errors import ConfigError, TTCError
from ttc_client.tasks.table import find_task
from ttc_client.tasks.text import Text, contains, exact, f1
from ttc_client.testing import check_task
from ttc_client.types import Problem

PARIS = Problem(question="Capital of France?", gold="Paris")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: Paris", "Paris"),
        ("It is old.\n\n**Answer:** Paris\n\nIt lies on the Seine.", "Paris"),
        ("Answer: Rome\nNo.\nFinal answer: “Paris”", "Paris"),
        ("<think>Answer: Rome</think>\nParis", "Paris"),
        ("Paris", "Paris"),
        ("The answer is Paris.", "Paris"),
        ("<think>Paris", ""),
        ("Answer:", ""),
        ("", ""),
    ],
)
def test_an_answer_is_read_behind_its_mark_or_is_the_whole_reply(text, answer):
    assert Text().extract(PARIS, text) == answer


@pytest.mark.parametrize(
    ("measure", "answer", "gold", "score"),
    [
        (exact, "The  Eiffel-Tower!", "eiffeltower", 1),
        (exact, "Paris", "Rome", 0),
        (exact, "?!", "!?", 0),
        (f1, "in Paris, France", "Paris", 0.5),
        (f1, "Rome", "Paris", 0),
        (f1, "the", "a", 0),
        (contains, "It is in Paris, France", "paris france", 1),
        (contains, "Parisian", "Paris", 0),
    ],
)
def test_answers_are_scored(measure, answer, gold, score):
    assert measure(answer, gold) == pytest.approx(score)


@pytest.mark.asyncio
@pytest.mark.parametrize("score", ["exact", "f1", "contains"])
async def test_text_passes_the_contract_of_tasks(score):
    await check_task(Text(score=score), PARIS, ["Answer: Paris", "paris."], ["Answer: Rome", ""])


def first_letter(answer: str) -> str:
    return answer[:1]


async def by_length(problem: Problem, answer: str) -> float:
    await asyncio.sleep(0)
    return len(answer) / 10


def two(problem: Problem, answer: str) -> float:
    return 2


def broken(answer: str) -> str:
    raise ZeroDivisionError("no")


HERE = f"python:{__name__}"


@pytest.mark.asyncio
async def test_functions_of_the_users_key_and_score():
    task = find_task("text", key=f"{HERE}:first_letter", score=f"{HERE}:by_length")
    assert await task.keys(PARIS, ["Paris", "Pau", "Rome"], None) == ["P", "P", "R"]
    assert await task.grade(PARIS, ["Paris", ""], None) == [0.5, 0]
    with pytest.raises(TTCError, match=r"two returned 2: it must be a number from 0 to 1"):
        await find_task("text", score=f"{HERE}:two").grade(PARIS, ["x"], None)
    with pytest.raises(TTCError, match="broken raised ZeroDivisionError: no"):
        await find_task("text", key=f"{HERE}:broken").keys(PARIS, ["x"], None)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"score": "f2"}, "score is 'f2': it must be one of exact, f1, contains, or python"),
        ({"score": "python:nowhere:f"}, "score is .* cannot be imported"),
        ({"key": f"{HERE}:nothing"}, "key is .* cannot be imported"),
        ({"key": f"{HERE}:HERE"}, "which is not a function"),
        ({"shuffle": 3}, "which has no shuffle: leave it out, or use choice"),
    ],
)
def test_a_setting_that_cannot_be_is_said(option, says):
    with pytest.raises(ConfigError, match=says):
        find_task("text", **option)


@pytest.mark.asyncio
async def test_several_right_answers_and_a_passage_are_read(tmp_path):
    path = tmp_path / "squad.jsonl"
    rows = [
        {"question": "Where?", "context": "It is in Paris.", "id": "a",
         "answers": {"text": ["Paris", "in Paris", "Paris"], "answer_start": [9, 6, 9]}},
        {"question": "Who?", "id": "b", "answer": {"value": "Ann", "aliases": ["Anne"]}},
        {"question": "What?", "id": "c", "answer": ["x", "y"]},
        {"question": "How many?", "id": "d", "answer": 2.50},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    squad, trivia, listed, number = load_problems(str(path), Text())
    assert squad.question == "It is in Paris.\n\nWhere?"
    assert squad.data["golds"] == ["Paris", "in Paris"]
    assert trivia.data["golds"] == ["Ann", "Anne"]
    assert (listed.gold, number.gold) == ("x", "2.5")
    assert await Text().grade(trivia, ["anne", "Bob"], None) == [1, 0]
