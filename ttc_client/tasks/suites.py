"""Read the tests of programming problems, in the layouts that data sets have.

HumanEval, MBPP, APPS and TACO, CodeContests, LiveCodeBench, or a column `tests` of one's own:
statements that call a function, or inputs and outputs of a program. What cannot be read leaves the
row out: an empty list of tests would pass every program.
"""

import ast
import base64
import builtins
import doctest
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from ttc_client.tasks.programs import completed, docstring, last_function, parsed, prelude
from ttc_client.tasks.rows import Cell, UnreadableRowError
from ttc_client.types import Problem

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "tests": ("tests", "test", "test_list", "input_output", "private_test_cases", "private_tests"),
    "public": ("public_tests", "public_test_cases"),
    "entry": ("entry_point", "fn_name", "entry"),
    "more": ("challenge_test_list", "generated_tests"),
    "setup": ("test_setup_code", "test_imports"),
    "problem": ("prompt", "question", "problem", "text", "description", "question_content"),
    "id": ("unique_id", "id", "task_id", "problem_id", "question_id", "name"),
}
"""The usual columns of a programming problem."""


@dataclass(frozen=True, slots=True)
class Suite:
    """How a program is tested.

    `entry` is the function that is asked for, "" for a program that reads and writes. `prompt` is
    code that the program goes on from. `tests` and `public` are statements for a function, and
    pairs of input and output for a program; `public` ones may be shown. `setup` goes before them.
    """

    entry: str = ""
    prompt: str = ""
    setup: str = ""
    tests: tuple[Any, ...] = ()
    public: tuple[Any, ...] = ()


def suite_of(problem: Problem) -> Suite:
    """Return the tests of a problem, or what its question alone says of them."""
    if found := problem.data.get("suite"):
        names, lists = ("entry", "prompt", "setup"), ("tests", "public")
        members = cast(Mapping[str, Any], found)
        return Suite(*(members[n] for n in names), *(tuple(members[n]) for n in lists))
    entry = last_function(problem.question)
    prompt = problem.question if entry else ""
    return Suite(entry, prompt, prelude(prompt, entry), public=_examples(prompt, entry))


def as_data(suite: Suite) -> dict[str, Any]:
    """Return a suite as a problem's data."""
    return {"suite": asdict(suite) | {"tests": list(suite.tests), "public": list(suite.public)}}


def read_suite(cell: Cell) -> Suite:
    """Return the tests of a row; raises UnreadableRowError where there are none."""
    question = cell("problem")
    prompt = question if isinstance(question, str) else ""
    given = _decoded(cell("tests"))
    members = cast(Mapping[str, Any], given if isinstance(given, Mapping) else {})
    entry = str(cell("entry") or members.get("fn_name") or "")
    tests, public, more = _cases(given), _cases(_decoded(cell("public"))), _cases(cell("more"))
    if not (tests or public or more):
        raise UnreadableRowError("has no tests")
    if isinstance(given, str):  # HumanEval's `check`, or a source of statements
        is_check = re.search(r"^def check\(", given, re.MULTILINE)
        tests = [f"{given}\n\ncheck({entry})" if is_check and entry else given]
    every = [*public, *tests, *more]
    if all(isinstance(test, str) for test in every):
        return _functions(entry, prompt, _setup(cell("setup")), every, public)
    if entry:
        every = [_statement(entry, test) for test in every]
        return _functions(entry, prompt, "", every, every[: len(public)])
    pairs = [[str(test[0]), str(test[1])] for test in every]
    return Suite(tests=tuple(pairs), public=tuple(pairs[: len(public)]))


def _functions(
    entry: str, prompt: str, setup: str, tests: Sequence[str], public: Sequence[str]
) -> Suite:
    entry = entry or _called(tests)
    if not entry:
        raise UnreadableRowError("has tests that call no function")
    code = prompt if completed(prompt) and last_function(prompt) == entry else ""
    shown = tuple(public) or _examples(code, entry) or tuple(tests[:1] if not code else ())
    before = "\n".join(filter(None, (prelude(code, entry), setup)))
    return Suite(entry, code, before, tuple(tests), shown)


def _cases(given: Any) -> list[Any]:
    """Return tests as statements, or as pairs of what goes in and what comes out."""
    if given is None or isinstance(given, str):
        return [given] if given and given.strip() else []
    if isinstance(given, Mapping):
        members = cast(Mapping[str, Any], given)
        inputs = members.get("inputs", members.get("input", ()))
        outputs = members.get("outputs", members.get("output", ()))
        if len(inputs) != len(outputs):
            raise UnreadableRowError(f"has {len(inputs)} inputs and {len(outputs)} outputs")
        return [list(pair) for pair in zip(inputs, outputs, strict=True)]
    listed = cast(Sequence[Any], given)
    return [test if isinstance(test, str) else _pair(test) for test in listed]


def _pair(test: Any) -> list[Any]:
    if isinstance(test, Mapping) and {"input", "output"} <= test.keys():
        members = cast(Mapping[str, Any], test)
        return [members["input"], members["output"]]
    if isinstance(test, list | tuple) and len(cast(Sequence[Any], test)) == 2:
        return list(cast(Sequence[Any], test))
    raise UnreadableRowError("has a test that is neither a statement nor an input and an output")


class _NoClasses(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        raise UnreadableRowError(f"has tests that would import {module_name}")


def _decoded(cell: Any) -> Any:
    """Return what a cell of text stands for: JSON, or LiveCodeBench's packed JSON, or itself."""
    if not isinstance(cell, str) or not cell.strip():
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        if parsed(cell) is not None and not re.fullmatch(r"[\w+/=]{40,}", cell):
            return cell
    try:
        packed = zlib.decompress(base64.b64decode(cell, validate=True))
        return json.loads(_NoClasses(io.BytesIO(packed)).load())
    except UnreadableRowError:
        raise
    except Exception:
        raise UnreadableRowError("has tests that cannot be decoded") from None


def _setup(cell: Any) -> str:
    lines = cast(list[Any], cell) if isinstance(cell, list) else [cell or ""]
    return "\n".join(map(str, lines))


def _statement(entry: str, test: Sequence[Any]) -> str:
    """Return a test as a statement: arguments in a list, or a JSON line each."""
    given, wanted = test
    is_list = isinstance(given, list)
    arguments = cast(list[Any], given) if is_list else [_value(x) for x in str(given).splitlines()]
    result = _value(wanted) if isinstance(wanted, str) else wanted
    if isinstance(result, list) and is_list and len(cast(list[Any], result)) == 1:
        result = cast(list[Any], result)[0]  # APPS wraps each output in a list
    shown = ", ".join(map(repr, arguments))
    return f"assert {entry}({shown}) == {result!r}"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _called(tests: Sequence[str]) -> str:
    """Return the function that all of some tests call and none defines, "" where there is none."""
    common: list[str] = []
    for index, test in enumerate(tests):
        tree = parsed(test)
        called = [
            node.func.id
            for node in (ast.walk(tree) if tree else ())
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        common = called if index == 0 else [name for name in common if name in called]
    return next((name for name in common if not hasattr(builtins, name)), "")


def _examples(prompt: str, entry: str) -> tuple[str, ...]:
    """Return the examples of a function's docstring as tests, those whose results are data."""
    try:
        examples = doctest.DocTestParser().get_examples(docstring(prompt))
    except ValueError:
        return ()
    tests: list[str] = []
    for example in examples:
        source, wanted = example.source.strip(), example.want.strip()
        try:
            ast.literal_eval(wanted)
        except (ValueError, SyntaxError):
            continue
        if parsed(source) is not None and f"{entry}(" in source:
            tests.append(f"assert ({source}) == ({wanted})")
    return tuple(tests)
