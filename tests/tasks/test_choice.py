"""Multiple choice: options in the layouts that sets have, golds in any form, an order by seed."""

import json
from pathlib import Path
from typing import Any

import pytest

from ttc_client.bench.dataset import read_problem_set
from ttc_client.bench.recipe import load_plan
from ttc_client.errors import ConfigError
from ttc_client.tasks.choice import Choice
from ttc_client.tasks.options import options_in
from ttc_client.testing import check_task
from ttc_client.types import Problem

FRUIT = ["apple", "beech", "cherry", "date"]
LISTED = "Which is a tree?\n\nA. apple\nB. beech\nC. cherry\nD. date"


def read(tmp_path: Path, *rows: dict[str, Any], task: Choice | None = None) -> tuple[Problem, ...]:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"question": "Which is a tree?", **r}) + "\n" for r in rows))
    return read_problem_set(str(path), task or Choice()).problems


LAYOUTS = {
    "a list": {"options": FRUIT, "answer": "B"},
    "the text of a Python list": {"options": str(FRUIT), "answer": "B"},
    "the text of a JSON list": {"options": json.dumps(FRUIT), "answer": "B"},
    "with letters of their own": {"options": ["A) apple", "B) beech", "C) cherry", "D) date"],
                                  "answer": "B"},
    "lines of a text": {"options": "A. apple\nB. beech\nC. cherry\nD. date", "answer": "B"},
    "an object by letter": {"options": dict(zip("ABCD", FRUIT, strict=True)), "answer": "B"},
    "labels and texts (ARC)": {"choices": {"text": FRUIT, "label": ["A", "B", "C", "D"]},
                               "answerKey": "B"},
    "numbers as labels (ARC)": {"choices": {"text": FRUIT, "label": ["1", "2", "3", "4"]},
                                "answerKey": "2"},
    "a list of objects": {"choices": [{"label": a, "text": t} for a, t in zip("ABCD", FRUIT,
                                                                             strict=True)],
                          "answerKey": "B"},
    "a column for each letter": {**dict(zip("ABCD", FRUIT, strict=True)), "answer": "B"},
    "opa to opd (MedMCQA)": {**dict(zip(("opa", "opb", "opc", "opd"), FRUIT, strict=True)),
                             "answer": "beech"},
    "option1 to option4": {**{f"option{i}": t for i, t in enumerate(FRUIT, 1)}, "answer": "b"},
    "endings (HellaSwag)": {"endings": FRUIT, "label": "beech"},
    "marks (TruthfulQA)": {"mc1_targets": {"choices": FRUIT, "labels": [0, 1, 0, 0]}},
    "the option's text": {"options": FRUIT, "answer": "Beech."},
    "a letter in brackets": {"options": FRUIT, "answer": "(B)"},
    "lines of the question": {"question": LISTED, "answer": "B"},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_options_and_gold_are_read_in_every_layout(tmp_path, layout):
    (problem,) = read(tmp_path, LAYOUTS[layout])
    assert (problem.question, problem.gold) == (LISTED, "B")
    assert problem.data == {"options": FRUIT}
    assert problem.messages[-1].content == LISTED


def test_a_set_that_names_the_right_option_first_is_mixed(tmp_path):
    wrong = {"Incorrect Answer 1": "apple", "Incorrect Answer 2": "cherry",
             "Incorrect Answer 3": "date"}  # fmt: skip
    rows = [{"Question": f"Tree {i}?", "Correct Answer": "beech", **wrong} for i in range(40)]
    problems = read(tmp_path, *({"question": None, **row} for row in rows))
    assert {p.gold for p in problems} == set("ABCD")
    assert all(p.data["options"]["ABCD".index(p.gold)] == "beech" for p in problems)


@pytest.mark.parametrize(
    ("golds", "first", "letters"),
    [
        ([0, 3], None, "AD"),
        ([1, 4], None, "AD"),
        (["1", "4"], None, "AD"),
        ([1, 2], 0, "BC"),
        ([1, 2], 1, "AB"),
    ],
)
def test_the_base_of_gold_numbers_is_found_in_the_set_or_said(tmp_path, golds, first, letters):
    rows = [{"options": FRUIT, "answer": gold} for gold in golds]
    problems = read(tmp_path, *rows, task=Choice(first_option=first))
    assert "".join(p.gold for p in problems) == letters


@pytest.mark.parametrize(
    ("golds", "says"),
    [
        ([1, 2], "neither 0 nor the last number: say with --first-option"),
        ([0, 4], "both 0 and the number of options: say with --first-option"),
        (["willow"], "'willow' is none of the options"),
        (["E"], "'E' is none of the options"),
    ],
)
def test_a_gold_that_is_unclear_is_never_guessed(tmp_path, golds, says):
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, *({"options": FRUIT, "answer": gold} for gold in golds))


def test_options_that_are_numbers_are_told_from_indices(tmp_path):
    rows = [{"options": ["10", "20"], "answer": "20"}, {"options": ["30", "40"], "answer": "30"}]
    assert [p.gold for p in read(tmp_path, *rows)] == ["B", "A"]


def test_rows_without_options_are_left_out(tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [{"question": "Q?", "options": FRUIT, "answer": "A"}, {"question": "Q?", "answer": "A"},
            {"question": "Q?", "options": ["one"], "answer": "A"}]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_problem_set(str(path), Choice())
    assert (len(found.problems), found.left_out) == (
        1,
        ("row 1 has no options", "row 2 has 1 options"),
    )


def test_the_order_of_options_is_shuffled_by_seed_and_the_gold_with_it(tmp_path):
    rows = [{"question": f"Tree {i}?", "options": FRUIT, "answer": "B"} for i in range(40)]

    def golds(seed: int) -> str:
        problems = read(tmp_path, *rows, task=Choice(shuffle=seed))
        for problem in problems:
            options = problem.data["options"]
            assert sorted(options) == FRUIT
            assert options["ABCD".index(problem.gold)] == "beech"
            assert f"{problem.gold}. beech" in problem.question
        return "".join(p.gold for p in problems)

    assert golds(0) == golds(0) != golds(1)
    assert set(golds(0)) == set("ABCD")


def test_a_question_may_be_asked_without_its_options(tmp_path):
    row = {"options": FRUIT, "answer": "B"}
    (problem,) = read(tmp_path, row, task=Choice(show_options=False))
    assert problem.question == "Which is a tree?"
    assert Choice().extract(problem, "The answer is beech.") == "B"


def test_the_recipe_of_demomath_as_choice_asks_the_question_alone():
    plan = load_plan({"limit": 20}, {}, Path("demomath-choice"))
    task = plan.settings.task
    assert task.name == "choice"
    assert plan.recorded["task"]["show_options"] is False
    for problem in plan.problems:
        options = problem.data["options"]
        assert options[0] not in problem.question.splitlines()
        right = options["ABCD".index(problem.gold)]
        assert (
            task.extract(problem, rf"So the final answer is: $\boxed{{{right}}}$.") == problem.gold
        )


def test_options_in_a_question_are_its_last_list_in_order():
    assert options_in(LISTED) == tuple(FRUIT)
    assert options_in("A. one\nB. two\n\nand\n\n(a) x\n(b) y") == ("x", "y")
    assert options_in("A. Lincoln was born in 1809.") == ()
    assert options_in("B. one\nC. two") == ()


def test_a_question_without_options_is_refused():
    with pytest.raises(ConfigError, match="the problem has no options"):
        Choice().messages(Problem(question="Why?"))


def test_our_prompt_shows_no_letter_in_dollars():
    assert "$" not in Choice().system_prompt


@pytest.mark.asyncio
async def test_choice_passes_the_contract_of_tasks():
    problem = Problem(question=LISTED, gold="B")
    right = ["The answer is (B).", r"\boxed{beech}", "B"]
    await check_task(Choice(), problem, right, ["The answer is (C).", "I cannot say.", ""])
