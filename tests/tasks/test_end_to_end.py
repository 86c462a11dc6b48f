"""Every task by `ttc solve`, `ttc bench` and `ttc report`, on small sets and a scripted policy."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fakes.chance_servers import chance, chance_servers
from tests.fakes.scripted_server import completions
from ttc_client.cli.app import make_app
from ttc_client.tasks.table import TASKS

NUM_PROBLEMS = 4
P_RIGHT = 0.7


def brevity(problem: Any, answer: str) -> float:
    return 1.0 if answer.startswith("right") else 0.0


class Case(NamedTuple):
    """Rows of a set, what the policy replies when it is right and wrong, and a task's flags."""

    row: Callable[[int], dict[str, Any]]
    right: Callable[[int], str]
    wrong: str
    answer: str
    """That of row 0, as a result shows it."""
    flags: tuple[str, ...] = ()
    question: str = ""
    """Row 0 as `ttc solve` is asked it; "" for the question alone."""


CASES = {
    "math": Case(
        row=lambda i: {"question": f"Q{i}?", "answer": str(i)},
        right=lambda i: rf"So \boxed{{{i}}}",
        wrong=r"So \boxed{99}",
        answer="0",
    ),
    "choice": Case(
        row=lambda i: {"question": f"Q{i}?", "options": ["red", "green", "blue"], "answer": "b"},
        right=lambda i: "It is clear.\n\nThe answer is (B).",
        wrong="The answer is blue.",
        answer="B",
        question="Q0?\n\nA. red\nB. green\nC. blue",
    ),
    "text": Case(
        row=lambda i: {"question": f"Q{i}?", "answer": ["the right one", f"right {i}"]},
        right=lambda i: f"Hm.\n\nAnswer: Right {i}.",
        wrong="Answer: nothing",
        answer="Right 0.",
        flags=("--score", "f1"),
    ),
    "json": Case(
        row=lambda i: {"question": f"Q{i}?", "answer": {"x": i, "y": [1.5]}},
        right=lambda i: f'```json\n{{"y": [1.50], "x": {i}.0}}\n```',
        wrong='{"x": "?", "y": []}',
        answer='{"y": [1.50], "x": 0.0}',
        flags=("--schema", '{"type": "object"}'),
    ),
    "code": Case(
        row=lambda i: {
            "prompt": f'def add(a, b):\n    """Q{i}? >>> add(1, 2)\n    3\n    """\n',
            "entry_point": "add",
            "test": f"def check(candidate):\n    assert candidate({i}, 2) == {i} + 2",
        },
        right=lambda i: "```python\ndef add(a, b):\n    return b + a\n```",
        wrong="```python\ndef add(a, b):\n    return a * b + 5\n```",
        answer="def add(a, b):\n    return b + a",
        question='def add(a, b):\n    """Q0? >>> add(1, 2)\n    3\n    """\n',
    ),
    "open": Case(
        row=lambda i: {"prompt": f"Q{i}?"},
        right=lambda i: f"right, {i}",
        wrong="wrong",
        answer="",
        flags=("--score", f"python:{__name__}:brevity"),
    ),
}


def test_there_is_a_case_for_every_task():
    assert set(CASES) == set(TASKS)


def policy(case: Case) -> Callable[[dict[str, Any], int], tuple[str, str, Any]]:
    """Be right by chance, by the number of the question in the prompt's ids."""

    def write(payload: dict[str, Any], i: int) -> tuple[str, str, Any]:
        prompt = "".join(map(chr, payload["prompt"]))
        number = int(prompt.rpartition("Q")[2].partition("?")[0])
        is_right = chance(payload.get("seed"), i).random() < P_RIGHT
        return case.right(number) if is_right else case.wrong, "stop", None

    return write


async def ttc(*arguments: str | Path) -> None:
    """Run a command in a thread of its own, which has no event loop."""
    given = [*map(str, arguments)]
    await asyncio.to_thread(make_app(), given, standalone_mode=False)


@pytest.mark.parametrize("task", CASES)
async def test_a_task_is_solved_benched_and_reported(task, tmp_path, capsys):
    case = CASES[task]
    rows = [case.row(i) for i in range(NUM_PROBLEMS)]
    file = tmp_path / "set.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with chance_servers(completions=completions(policy(case))) as server:
        shared = ("--task", task, *case.flags, "--policy", server.url, "--no-check", "-q")
        run = tmp_path / "run"
        await ttc("bench", file, *shared, "-s", "majority", "-n", 8, "--out", run, "--json")
        found = {row["n"]: row for row in json.loads(capsys.readouterr().out)}
        assert 0.2 <= found[8]["share_right"] <= 1
        await ttc("solve", case.question or "Q0?", *shared, "-s", "majority", "-n", 8, "--json")
        result = json.loads(capsys.readouterr().out)
        assert result["task"] == task
        if case.answer:
            assert result["answer"] == case.answer
        await ttc("report", run, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Q0?" in page
    records = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert len(records) == NUM_PROBLEMS
    assert not any(record["error"] for record in records)
    assert {a["grade"] for r in records for a in r["answers"]} == {0, 1}
