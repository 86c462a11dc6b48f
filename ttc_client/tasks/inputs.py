"""Inputs on which programs are compared: those of the public tests, and others made from them."""

import ast
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from ttc_client.tasks.programs import parsed
from ttc_client.tasks.suites import Suite

MOST_INPUTS = 24
_MADE_FROM_EACH = 6
_NUMBER = re.compile(r"-?\d+")


def argument_lists(suite: Suite, question: str) -> list[list[Any]]:
    """Return lists of arguments for a suite's function: of its examples, then made from these."""
    given: list[list[Any]] = []
    for text in (*suite.public, *_calls_in(question, suite.entry)):
        given += [each for each in _arguments(text, suite.entry) if each not in given]
    rng = random.Random(repr((suite.entry, question)))
    made = [[_other(a, rng) for a in each] for each in given for _ in range(_MADE_FROM_EACH)]
    return [*given, *(each for each in made if each not in given)][:MOST_INPUTS]


def texts(suite: Suite) -> list[str]:
    """Return inputs for a suite's program: of its public tests, then with other numbers."""
    given = [str(test[0]) for test in suite.public]
    rng = random.Random(repr(given))
    made = [
        _NUMBER.sub(lambda found: str(_other(int(found[0]), rng)), text) for text in given
        for _ in range(2)
    ]  # fmt: skip
    return list(dict.fromkeys((*given, *made)))[:MOST_INPUTS]


def _calls_in(question: str, entry: str) -> Iterator[str]:
    """Give each call of a function that a text shows, such as `f([1, 2], "a")`."""
    for match in re.finditer(rf"\b{re.escape(entry)}\(", question):
        depth = 0
        for place in range(match.end() - 1, min(len(question), match.end() + 500)):
            depth += {"(": 1, ")": -1}.get(question[place], 0)
            if depth == 0:
                yield question[match.start() : place + 1]
                break


def _arguments(source: str, entry: str) -> Iterator[list[Any]]:
    tree = parsed(source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == entry and not node.keywords:
            try:
                yield [ast.literal_eval(argument) for argument in node.args]
            except (ValueError, TypeError):
                continue


def _other(value: Any, rng: random.Random) -> Any:
    """Return a value of the same kind, near the given one or at the edge of what there is."""
    if isinstance(value, bool):
        return rng.random() < 0.5
    if isinstance(value, int):
        return rng.choice([0, 1, value + 1, max(value - 1, 0), value * 2, value])
    if isinstance(value, float):
        return rng.choice([0.0, 1.0, value + 1, value / 2, value])
    if isinstance(value, str):
        return "".join(_rearranged(list(value), rng))
    if isinstance(value, list | tuple):
        members = _rearranged(cast(Sequence[Any], value), rng)
        other = [_other(m, rng) if rng.random() < 0.5 else m for m in members]
        return other if isinstance(value, list) else tuple(other)
    return value


def _rearranged(members: Sequence[Any], rng: random.Random) -> list[Any]:
    kind, listed = rng.randrange(5), list(members)
    if kind == 0:
        return listed[::-1]
    if kind == 1:
        return listed[: len(listed) // 2]
    if kind == 2:
        return listed + listed[:2]
    if kind == 3:
        rng.shuffle(listed)
    return listed
