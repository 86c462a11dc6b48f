"""What a family draws, a statement, and what an author makes of it: steps and answer forms."""

import random
from collections.abc import Callable
from typing import NamedTuple

from ttc_servers.demomath.author import Author, Step
from ttc_servers.demomath.latex import Number, factor, number, number_forms


class Work(NamedTuple):
    """One author's steps and the equivalent forms of the answer that they lead to."""

    steps: list[Step]
    forms: tuple[str, ...]


class Statement(NamedTuple):
    """A problem's subject and text, and how an author solves it."""

    subject: str
    text: str
    solve: Callable[[Author], Work]


TITLES = {"+": "Add", "-": "Subtract", "*": "Multiply", "/": "Divide"}
SIGNS = {"+": " + ", "-": " - ", "*": r" \cdot ", "/": r" \div "}


def apply(author: Author, sign: str, a: Number, b: Number) -> Number:
    operations = {"+": author.add, "-": author.sub, "*": author.mul, "/": author.div}
    return operations[sign](a, b)


def equation(author: Author, sign: str, a: Number, b: Number) -> tuple[str, Number]:
    result = apply(author, sign, a, b)
    return f"{number(a)}{SIGNS[sign]}{factor(b)} = {number(result)}", result


def work(author: Author, steps: list[Step], title: str, sign: str, a: Number, b: Number) -> Number:
    """Append a step of one operation, and return its result."""
    text, result = equation(author, sign, a, b)
    steps.append(author.step(title, text))
    return result


def solved_by(title: str, sign: str, a: Number, b: Number) -> Callable[[Author], Work]:
    """Return how an author solves what one operation solves."""

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        return Work(steps, number_forms(work(author, steps, title, sign, a, b)))

    return solve


def whole(rng: random.Random, low: int, high: int, negative: float = 0.0) -> int:
    """Draw an integer between low and high, negated with the probability `negative`."""
    value = rng.randint(low, high)
    return -value if rng.random() < negative else value
