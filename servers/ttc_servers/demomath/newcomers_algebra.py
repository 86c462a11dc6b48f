"""Algebra as newcomers ask for it: equations, functions, expansions and sequences."""

import random
import re

from ttc_servers.demomath import algebra
from ttc_servers.demomath.author import Author
from ttc_servers.demomath.latex import Number, number_forms, plain, polynomial
from ttc_servers.demomath.statement import Statement, Step, Work, equation, solved_by, work


def root(rng: random.Random) -> Statement:
    root = rng.randint(2, 15)
    square = root * root
    text = rng.choice(
        (
            *("What is the square root of {}?", "square root of {}", "sqrt({})"),
            *("Solve x^2 = {} for positive x.", "x^2 = {} and x > 0. What is x?"),
            *("If x^2 = {} and x is positive, what is x?", "Find the positive x with x^2 = {}"),
        )
    ).format(square)

    def solve(author: Author) -> Work:
        step = author.step("Square root", rf"\sqrt{{{square}}} = {root}")
        return Work([step], number_forms(root))

    return Statement("Algebra", text, solve)


_SOLVED = (
    *("Solve {}", "solve {} for x", "Solve {} for x.", "{}, what is x?", "{}. What is x?"),
    *("Find x: {}", "Find x if {}.", "If {}, x = ?", "If {}, what is x?", "What is x if {}?"),
    *("Solve for x: {}", "{}", "{} find x", "{}, x = ?", "What x solves {}?", "Determine x: {}"),
)


def quotient(rng: random.Random) -> Statement:
    """Draw an equation in which x is divided."""
    a, c = rng.randint(2, 9), rng.randint(2, 12)

    said = f"x{rng.choice(('/', ' / ', ' divided by '))}{a} = {c}"
    return Statement("Algebra", rng.choice(_SOLVED).format(said), solved_by("Multiply", "*", c, a))


def linear(rng: random.Random) -> Statement:
    if rng.random() < 0.3:
        return _restated(rng, algebra.linear(rng, rng.choice((1, 2))), _SOLVED)
    a = rng.choice((1, 1, -1, *range(2, 10)))
    x, b = rng.randint(1, 12), rng.choice((0, 1)) * rng.choice((1, 1, -1)) * rng.randint(1, 20)
    if not b and abs(a) == 1:
        b = rng.randint(1, 20)
    terms = [(a, "x"), (b, "")]
    left = polynomial(terms[::-1] if a < 0 and b else terms)

    def solve(author: Author) -> Work:
        return algebra.isolate(author, [], (a, b), (0, a * x + b))

    return Statement("Algebra", rng.choice(_SOLVED).format(f"{left} = {a * x + b}"), solve)


def simplify(rng: random.Random) -> Statement:
    a, b, sign = rng.randint(2, 12), rng.randint(2, 12), rng.choice("+-")
    a, b = (max(a, b) + 1, min(a, b)) if sign == "-" else (a, b)
    text = rng.choice(("Simplify {}", "simplify {}.", "What is {}?", "Combine {}.", "{}"))

    def solve(author: Author) -> Work:
        line, value = equation(author, sign, a, b)
        form = polynomial([(value, "x")])
        return Work([author.step("Collect the coefficients", line)], (form,))

    return Statement("Algebra", text.format(f"{a}x {sign} {b}x"), solve)


def _restated(rng: random.Random, statement: Statement, frames: tuple[str, ...]) -> Statement:
    """Return a family's problem with its formulas in a newcomer's words."""
    found = [plain(math) for math in re.findall(r"\$([^$]*)\$", statement.text)]
    text = rng.choice(frames).format(*found)
    tight = rng.random() < 0.3
    return statement._replace(
        text=re.sub(r"(?<=[\w)]) ([+*=-]) (?=[\w(])", r"\1", text) if tight else text
    )


def evaluate(rng: random.Random) -> Statement:
    name, k = rng.choice(("f", "f", "f", "g", "h", "p")), rng.randint(1, 9)
    a, b, c = rng.choice(((0, 1, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 0)))
    a, b, c = (
        a * rng.randint(1, 3),
        b * rng.randint(2, 9),
        c * rng.choice((1, 1, -1)) * rng.randint(1, 12),
    )
    inside = polynomial([(a, "x^2"), (b, "x"), (c, "")])
    text = rng.choice(
        (
            *("{n}(x) = {p}. What is {n}({k})?", "If {n}(x) = {p}, what is {n}({k})?"),
            *("{n}(x) = {p}, find {n}({k})", "Let {n}(x) = {p}. {n}({k}) = ?"),
            *("What is {p} for x = {k}?", "Evaluate {p} at x = {k}.", "{n}(x)={p}, {n}({k})=?"),
        )
    ).format(n=name, p=inside, k=k)

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        value: Number = 0
        if a:
            value = work(author, steps, "Square", "*", k, k)
            value = work(author, steps, "Multiply", "*", value, a) if a > 1 else value
        if b:
            product = work(author, steps, "Multiply", "*", k, b)
            value = work(author, steps, "Add", "+", value, product) if a else product
        value = work(author, steps, "Add", "+", value, c) if c else value
        return Work(steps, number_forms(value))

    return Statement("Algebra", text, solve)


def expand(rng: random.Random) -> Statement:
    frames = ("Expand {}", "expand {}.", "Multiply out {}", "What is {} expanded?", "{} expanded")
    return _restated(rng, algebra.polynomials(rng, rng.choice((2, 2, 4))), frames)


def larger_root(rng: random.Random) -> Statement:
    frames = (
        *("What is the larger root of {}?", "larger root of {}", "Solve {} for the larger root."),
        *("Find the larger solution of {}", "{}, what is the larger x?", "The larger x with {}?"),
    )
    return _restated(rng, algebra.quadratics(rng, rng.choice((1, 2))), frames)


def system(rng: random.Random) -> Statement:
    frames = (
        *("{} and {}. What is x?", "If {} and {}, what is x?", "{}, {}, x = ?", "Find x: {}, {}"),
        *("Solve {} and {} for x", "{} and {}, find x", "What is x if {} and {}?"),
    )
    return _restated(rng, algebra.systems(rng, rng.choice((1, 1, 2, 3))), frames)


def sequence(rng: random.Random) -> Statement:
    first, difference, n = rng.randint(1, 20), rng.randint(2, 9), rng.randint(5, 20)
    terms = [first + difference * index for index in range(rng.choice((3, 4, 4, 5)))]
    listed = ", ".join(map(str, terms))
    if rng.random() < 0.5:
        text = rng.choice(
            (
                *("The sequence {}: what is the next number?", "What comes next: {}, ...?"),
                *("{}, ... what is the next term?", "Find the next number in {}", "{}, ?"),
                *("Which number comes after {}?", "What is the next number in {}?"),
            )
        ).format(listed)

        def solve_next(author: Author) -> Work:
            steps: list[Step] = []
            gap = work(author, steps, "Difference", "-", terms[1], first)
            return Work(steps, number_forms(work(author, steps, "Next term", "+", terms[-1], gap)))

        return Statement("Precalculus", text, solve_next)
    text = rng.choice(
        (
            *(
                "What is the {n}th term of {t}, ...?",
                "{n}th term of {t}, ...",
                "{t}, ... {n}th term?",
            ),
            *("Find term {n} of the sequence {t}, ...", "What is term number {n} of {t}, ...?"),
        )
    ).format(n=n, t=listed)

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        gap = work(author, steps, "Difference", "-", terms[1], first)
        product = work(author, steps, "Multiply", "*", gap, n - 1)
        return Work(steps, number_forms(work(author, steps, "Last term", "+", product, first)))

    return Statement("Precalculus", text, solve)
