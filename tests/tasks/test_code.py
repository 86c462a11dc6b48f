"""Programs: found in replies, tested in every layout of sets, equal by what they do."""

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from ttc_client import Client, SearchParams, Servers
from ttc_client.bench.dataset import read_problem_set
from ttc_client.errors import ConfigError
from ttc_client.sandbox.jail import Jail
from ttc_client.sandbox.sandbox import Sandbox, SandboxError
from ttc_client.search.ports import SampleRequest
from ttc_client.tasks import code as code_module
from ttc_client.tasks.code import Code, same_output, share_passed
from ttc_client.tasks.inputs import argument_lists, texts
from ttc_client.tasks.programs import program_in
from ttc_client.tasks.suites import Suite, as_data, suite_of
from ttc_client.tasks.workers import Workers
from ttc_client.testing import check_task
from ttc_client.types import Problem

PROMPT = '''from typing import List

def half(x: int) -> int:
    return x // 2

def total(items: List[int]) -> int:
    """ Add up halves.
    >>> total([2, 4])
    3
    """
'''
FUNCTION = "def total(items: List[int]) -> int:\n    return sum(half(x) for x in items)"
BODY = "    return sum(half(x) for x in items)"
TEST = "def check(candidate):\n    assert candidate([2, 4]) == 3\n    assert candidate([]) == 0"
ROW = {"task_id": "T/0", "prompt": PROMPT, "entry_point": "total", "test": TEST}


def read(tmp_path: Path, *rows: dict[str, Any]) -> tuple[Problem, ...]:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_problem_set(str(path), Code()).problems


FENCED = f"```python\n{FUNCTION}\n```"

REPLIES = {
    "fenced": FENCED,
    "plain": FUNCTION,
    "the body alone": BODY,
    "the body alone, not indented": BODY.strip(),
    "the body in a fence": f"```\n{BODY}\n```",
    "the whole program": f"```python\n{PROMPT}{BODY}\n```",
    "a stray fence at the end": f"{FUNCTION}\n```",
    "a stray fence at the start": f"```python\n{FUNCTION}",
    "a stray fence before a pair": f"```\nSome words.\n```python\n{FUNCTION}\n```",
    "tildes": f"~~~python\n{FUNCTION}\n~~~",
    "indented in a list": "1. So:\n   ```python\n   "
    + FUNCTION.replace("\n", "\n   ")
    + "\n   ```",
    "with prose around": f"Here it is:\n\n{FENCED}\n\nIt adds up halves.",
    "with a draft before": f"```python\ndef total(items): return 0\n```\nBetter:\n{FENCED}",
    "with an example after": f"{FENCED}\n\nFor example:\n```python\nprint(total([2]))\n```",
    "with a shell block after": f"{FENCED}\n```bash\npython main.py\n```",
    "with example calls below": FENCED.replace(
        "\n```", "\nx = total([2])\nprint(x, undefined)\n```"
    ),
    "after thoughts": f"<think>```python\ndef total(i): return 0\n```\n</think>\n{FENCED}",
    "with its helper in another block": "```python\ndef h(x): return half(x)\n```\nand\n"
    "```python\ndef total(items):\n    return sum(map(h, items))\n```",
}


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_program_is_found_in_a_reply_and_passes(tmp_path, reply):
    (problem,) = read(tmp_path, ROW)
    task = Code()
    program = task.extract(problem, REPLIES[reply])
    assert program
    async with Workers() as workers:
        assert await task.grade(problem, [program], workers) == [1]


@pytest.mark.parametrize("reply", ["", "I cannot do that.", "hello", "<think>```python\nx"])
def test_prose_is_no_program(reply):
    assert Code().extract(Problem(question=PROMPT), reply) == ""
    assert Code().extract(Problem(question="Write a program."), reply) == ""


def test_an_unpaired_fence_never_makes_the_program_empty():
    for text in ("print(1)\n```", "```\nprint(1)", "```\n```\nprint(1)\n```", "x = (\n```"):
        assert program_in(text).strip()


def test_code_that_does_not_compile_is_kept_to_fail():
    assert program_in("```python\ndef total(items) return 3\n```", "total") != ""


async def test_code_passes_the_contract_of_tasks(tmp_path):
    (problem,) = read(tmp_path, ROW)
    await check_task(Code(), problem, [FENCED, BODY], ["def total(items): return 3", "no", ""])


LAYOUTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "HumanEval": (ROW, FUNCTION, "def total(items): return 3"),
    "MBPP": (
        {"task_id": 2, "text": "Square a number.", "code": "", "test_setup_code": "two = 2",
         "test_list": ["assert sq(two) == 4", "assert sq(3) == 9"],
         "challenge_test_list": ["assert sq(-1) == 1"]},
        "def sq(x): return x * x",
        "def sq(x): return x * abs(x)",
    ),
    "MBPP with classes": (
        {"text": "The longest.", "test_list": ["assert longest([Pair(1, 3), Pair(2, 3)]) == 2"]},
        "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\n"
        "def longest(pairs): return max(p.b - p.a for p in pairs)",
        "class Pair:\n    def __init__(self, a, b): pass\ndef longest(pairs): return 1",
    ),
    "APPS": (
        {"question": "Double each number.",
         "input_output": json.dumps({"inputs": ["1\n2\n", "3\n"], "outputs": ["2\n4\n", "6"]})},
        "import sys\nfor line in sys.stdin: print(int(line) * 2)",
        "import sys\nfor line in sys.stdin: print(int(line) + 1)",
    ),
    "APPS with a function": (
        {"question": "Add.", "input_output": json.dumps(
            {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]})},
        "def add(a, b): return a + b",
        "def add(a, b): return 3",
    ),
    "CodeContests": (
        {"description": "Say it.", "public_tests": {"input": ["a"], "output": ["a"]},
         "private_tests": {"input": ["b"], "output": ["b"]},
         "generated_tests": {"input": ["c"], "output": ["c"]}},
        "print(input())",
        "x = input()\nprint('b' if x == 'c' else x)",
    ),
    "LiveCodeBench": (
        {"question_content": "Say it.", "question_id": "7",
         "public_test_cases": json.dumps([{"input": "a", "output": "a", "testtype": "stdin"}]),
         "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(
             json.dumps([{"input": "b", "output": "b", "testtype": "stdin"}])))).decode()},
        "print(input())",
        "input()\nprint('a')",
    ),
    "a column of pairs": (
        {"problem": "Say it.", "tests": [{"input": "a", "output": "a"}, ["b", "b"]]},
        "print(input())",
        "print('a')",
    ),
    "a column of statements": (
        {"problem": "Add.", "tests": ["assert add(1, 2) == 3"]},
        "def add(a, b): return a + b",
        "def add(a, b): return 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_tests_are_read_in_every_layout(tmp_path, layout):
    row, right, wrong = LAYOUTS[layout]
    (problem,) = read(tmp_path, row)
    programs = [Code().extract(problem, f"```\n{program}\n```") for program in (right, wrong)]
    async with Workers() as workers:
        assert await Code().grade(problem, [*programs, ""], workers) == [1, 0, 0]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"problem": "?"}, "has no tests"),
        ({"problem": "?", "tests": []}, "has no tests"),
        ({"problem": "?", "tests": "x$damaged$" * 9}, "has tests that cannot be decoded"),
        ({"problem": "?", "tests": ["assert True"]}, "has tests that call no function"),
        ({"problem": "?", "tests": {"inputs": ["1"], "outputs": []}}, "has 1 inputs and 0 outputs"),
        ({"problem": "?", "tests": [3]}, "neither a statement nor an input and an output"),
        (
            {"problem": "?", "tests": base64.b64encode(
                zlib.compress(pickle.dumps(Path("/etc")))).decode()},
            "has tests that would import pathlib",
        ),
    ],
    ids=range(7),
)  # fmt: skip
def test_tests_that_cannot_be_read_leave_the_row_out(tmp_path, row, says):
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, row)


async def test_without_tests_a_program_is_neither_right_nor_wrong():
    async with Workers() as workers:
        with pytest.raises(SandboxError, match="there are no tests"):
            await Code().grade(Problem(question=PROMPT), [FUNCTION], workers)


async def test_a_dead_sandbox_is_neither_right_nor_wrong(tmp_path, monkeypatch):
    (problem,) = read(tmp_path, ROW)
    async with Workers() as workers:
        dead = Sandbox(Jail("bubblewrap", "/bin/false"))
        monkeypatch.setattr(workers, "sandbox", lambda **_: dead)
        for judge in (Code().grade, Code().keys):
            with pytest.raises(SandboxError, match="did not start"):
                await judge(problem, [FUNCTION], workers)


def test_where_there_is_no_sandbox_the_task_is_refused_unless_that_is_waived(monkeypatch):
    def none(*, unsafe: bool) -> None:
        if not unsafe:
            raise ConfigError("no sandbox")

    monkeypatch.setattr(code_module, "find_jail", none)
    with pytest.raises(ConfigError, match="no sandbox"):
        Code()
    assert Code(unsafe_code=True)


async def test_programs_are_equal_by_what_they_do(tmp_path):
    (problem,) = read(tmp_path, ROW)
    programs = [
        FUNCTION,
        "def total(items):\n    n = 0\n    for x in items: n += half(x)\n    return n",
        "def total(items): return max(items, default=0)",
        "def total(items): return 3",
        "def total(items): raise ValueError",
        "def total(items) return",
    ]
    programs = [Code().extract(problem, program) for program in programs]
    async with Workers() as workers:
        keys = await Code().keys(problem, programs, workers)
    assert keys[0] == keys[1]
    assert len({*keys}) == 5


async def test_programs_that_read_and_write_are_equal_by_their_outputs(tmp_path):
    (problem,) = read(tmp_path, LAYOUTS["CodeContests"][0])
    programs = ["print(input())", "import sys\nprint(sys.stdin.read())", "print('a')", "1 / 0"]
    async with Workers() as workers:
        keys = await Code().keys(problem, programs, workers)
    assert keys[0] == keys[1]


def test_inputs_are_those_of_the_examples_and_others_of_their_kind():
    problem = Problem(question=PROMPT)
    suite = suite_of(problem)
    assert suite.public == ("assert (total([2, 4])) == (3)",)
    lists = argument_lists(suite, problem.question)
    assert lists[0] == [[2, 4]]
    assert len(lists) > 3
    assert all(len(each) == 1 and isinstance(each[0], list) for each in lists)
    assert lists == argument_lists(suite, problem.question)
    pairs = Suite(public=(["3 4\n", "7"],))
    assert texts(pairs)[0] == "3 4\n"
    assert len(texts(pairs)) > 1


async def test_a_verifier_may_see_the_share_of_public_tests_that_pass():
    suite = Suite("f", public=("assert f(1) == 1", "assert f(2) == 4"))
    problem = Problem(question="?", data=as_data(suite))
    async with Workers() as workers:
        sandbox = workers.sandbox()
        shares = [
            await share_passed(program, suite_of(problem), suite.public, sandbox)
            for program in ("def f(x): return x * x", "def f(x): return x", "")
        ]
    assert shares == [1, 0.5, 0]


async def test_public_tests_are_a_verifier_by_its_name():
    async def write(request: SampleRequest) -> list[str]:
        programs = (FUNCTION, "def total(items): return 0", FUNCTION, "nothing")
        return [f"```python\n{programs[i]}\n```" for i in range(request.n)]

    problem = Problem(question=PROMPT)
    servers = Servers(policy=(write,), prm_api="tests")
    async with Client(servers, Code()) as client:
        result = await client.solve(problem, SearchParams(strategy="best-of-n", n=4))
        with pytest.raises(ConfigError, match="has unfinished solutions scored"):
            await client.solve(problem, SearchParams(strategy="dvts", n=4))
    rewards = {candidate.text: candidate.reward for candidate in result.candidates}
    assert sorted(rewards.values()) == [0, 0, 1]
    assert result.answer.endswith(FUNCTION)


@pytest.mark.parametrize(
    ("output", "wanted", "same"),
    [
        ("0.333333", "0.333333333333", True),
        ("0.3333", "0.333333333333", False),
        ("1000000.5", "1000000.6", True),
        ("3", "3.0", True),
        ("3.0", "3", False),
        ("3.0000001", "3", False),
        (" 1  2\n\n3 ", "1 2 3", True),
        ("1 2", "1 2 3", False),
        ("yes", "Yes", False),
        ("nan", "nan", True),
        ("nan", "1.5", False),
        ("12345678901234567890", "12345678901234567891", False),
    ],
)
def test_outputs_are_compared_word_by_word(output, wanted, same):
    assert same_output(output, wanted) is same
