"""Families of algebra: linear equations, systems, polynomials, quadratics, sequences.

Built like the families of arithmetic: a level in, a statement out, whose solution any author
can write.
"""

import random
from fractions import Fraction
from math import isqrt

from ttc_servers.demomath.author import Author
from ttc_servers.demomath.latex import (
    Number,
    factor,
    number,
    number_forms,
    pair_forms,
    polynomial,
    quadratic_forms,
    surd,
    surd_forms,
)
from ttc_servers.demomath.statement import Statement, Step, Work, equation, whole, work


def _line(a: Number, b: Number) -> str:
    return polynomial([(a, "x"), (b, "")])


def linear(rng: random.Random, level: int) -> Statement:
    """Draw `ax + b = c`; from level 2 with x on both sides, from 3 and 4 with parentheses."""
    while True:
        a, c = whole(rng, 2, 9, 0.1 * level), whole(rng, 2, 9, 0.1 * level)
        b, d = whole(rng, 2, 9, 0.3), whole(rng, 2, 9, 0.3)
        e, f = whole(rng, 4, 40, 0.1), whole(rng, 4, 60, 0.1)
        c = c if level > 1 else 0
        constant = f - e
        if level >= 3:
            constant -= a * b - e if level < 5 else a * b
        if level >= 4:
            constant += c * d - (f if level == 4 else 0)
        if a != c and Fraction(constant, a - c).denominator <= 6 and abs(constant) <= 99:
            break
    left_tail, right_tail = (0 if level in (3, 4) else e), (0 if level == 4 else f)
    left = f"{a}({_line(1, b)})" if level >= 3 else _line(a, 0)
    right = f"{c}({_line(1, d)})" if level >= 4 else _line(c, 0) if c else ""
    left += _tail(left_tail)
    right = right + _tail(right_tail) if right else str(right_tail)

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        left: Number = left_tail
        right: Number = right_tail
        if level >= 3:
            left = _expand(author, steps, a, b, left)
        if level >= 4:
            right = _expand(author, steps, c, d, right)
        return isolate(author, steps, (a, left), (c, right))

    return Statement("Algebra", f"Solve ${left} = {right}$ for $x$.", solve)


def _tail(value: int) -> str:
    return f" {'-' if value < 0 else '+'} {abs(value)}" if value else ""


def _expand(author: Author, steps: list[Step], a: int, b: int, tail: Number) -> Number:
    """Expand a(x + b) and return its constant, the tail added."""
    constant = author.mul(a, b)
    steps.append(author.step("Expand", f"{a}({_line(1, b)}) = {_line(a, constant)}"))
    if not tail:
        return constant
    return work(author, steps, "Add", "+", constant, tail)


def isolate(
    author: Author,
    steps: list[Step],
    left: tuple[int, Number],
    right: tuple[int, Number],
) -> Work:
    """Solve `ax + b = cx + d`, given as (a, b) and (c, d)."""
    (a, b), (c, d) = left, right
    slope: Number = a
    if c:
        slope = work(author, steps, "Collect the coefficients", "-", a, c)
    constant = work(author, steps, "Collect the constants", "-", d, b)
    x = author.div(constant, slope or 1)
    steps.append(
        author.step("Divide", rf"x = \frac{{{number(constant)}}}{{{number(slope)}}} = {number(x)}")
    )
    return Work(steps, number_forms(x))


def systems(rng: random.Random, level: int) -> Statement:
    """Draw two equations in x and y; solved by determinants."""
    size, negative = (2, 3, 4, 5, 6)[level - 1], 0.03 * level
    while True:
        a, b, c, d = (whole(rng, 1, size, negative) for _ in range(4))
        x, y = whole(rng, 1, 4 + level, negative), whole(rng, 1, 4 + level, negative)
        if level == 1:
            a = b = c = 1
            d = -1
        if a * d != b * c and abs(a * x + b * y) <= 99 and abs(c * x + d * y) <= 99:
            break
    e, f = a * x + b * y, c * x + d * y
    first, second = polynomial([(a, "x"), (b, "y")]), polynomial([(c, "x"), (d, "y")])
    asked = {1: "x", 2: "x", 3: "x"}.get(level, "(x, y)")

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        whole_d = _determinant(author, steps, "D", (a, b, c, d))
        x_d = _determinant(author, steps, "X", (e, b, f, d))
        x = author.div(x_d, whole_d or 1)
        steps.append(
            author.step("Divide", rf"x = \frac{{{number(x_d)}}}{{{number(whole_d)}}} = {number(x)}")
        )
        if asked == "x":
            return Work(steps, number_forms(x))
        y_d = _determinant(author, steps, "Y", (a, e, c, f))
        y = author.div(y_d, whole_d or 1)
        steps.append(
            author.step("Divide", rf"y = \frac{{{number(y_d)}}}{{{number(whole_d)}}} = {number(y)}")
        )
        return Work(steps, pair_forms(x, y))

    text = f"Solve ${first} = {e}$ and ${second} = {f}$ for ${asked}$."
    return Statement("Intermediate Algebra", text, solve)


def _determinant(
    author: Author, steps: list[Step], name: str, entries: tuple[int, int, int, int]
) -> Number:
    a, b, c, d = entries
    first, second = author.mul(a, d), author.mul(b, c)
    text, value = equation(author, "-", first, second)
    lead = rf"{name} = {a} \cdot {factor(d)} - {factor(b)} \cdot {factor(c)} = "
    steps.append(author.step("Determinant", lead + text))
    return value


def polynomials(rng: random.Random, level: int) -> Statement:
    """Draw an evaluation (odd levels) or an expansion (even levels, and half of level 5)."""
    negative = 0.12 * level
    if level % 2 == 0 or (level == 5 and rng.random() < 0.5):
        return _expansion(rng, level, negative)
    a, b = whole(rng, 2, 6, negative / 2), whole(rng, 2, 9, negative)
    c, k = whole(rng, 2, 30, negative), whole(rng, 2, 4 + level, negative)
    a = a if level > 1 else 0
    text = polynomial([(a, "x^2"), (b, "x"), (c, "")])

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        value: Number = 0
        if a:
            square = work(author, steps, "Square", "*", k, k)
            value = work(author, steps, "Multiply", "*", square, a)
        product = work(author, steps, "Multiply", "*", k, b)
        for term in (product, c) if a else (c,):
            value = work(author, steps, "Add", "+", value if a else product, term)
        return Work(steps, number_forms(value))

    return Statement("Algebra", f"Let $f(x) = {text}$. Find $f({k})$.", solve)


def _expansion(rng: random.Random, level: int, negative: float) -> Statement:
    a, c = (1, 1) if level == 2 else (rng.randint(2, 5), rng.randint(2, 5))
    b, d = whole(rng, 2, 12 - level, negative), whole(rng, 2, 12 - level, negative)
    e, f = (whole(rng, 2, 9, negative), whole(rng, 2, 20, negative)) if level == 5 else (0, 0)

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        square = work(author, steps, "Square term", "*", a, c)
        outer, inner = author.mul(a, d), author.mul(b, c)
        line, middle = equation(author, "+", outer, inner)
        lead = rf"{a} \cdot {factor(d)} + {factor(b)} \cdot {factor(c)} = "
        steps.append(author.step("Linear term", lead + line))
        last = work(author, steps, "Constant term", "*", b, d)
        if level == 5:
            middle = work(author, steps, "Add", "+", middle, e)
            last = work(author, steps, "Add", "+", last, f)
        return Work(steps, quadratic_forms(square, middle, last))

    text = f"({_line(a, b)})({_line(c, d)})"
    if level == 5:
        text += _tail(e) + "x" + _tail(f)
    return Statement("Algebra", f"Expand ${text}$.", solve)


def quadratics(rng: random.Random, level: int) -> Statement:
    """Draw a quadratic equation whose larger root is asked, with a surd from level 3 on."""
    while True:
        p, q = whole(rng, 1, 4 + level, 0.4), whole(rng, 1, 4 + level, 0.4)
        a, b, c = 1, -(p + q), p * q
        if level >= 3:
            a = rng.randint(1, level - 2)
            b, c = 2 * whole(rng, 1, 2 + level, 0.4), whole(rng, 1, 3 + level, 0.5)
        discriminant = b * b - 4 * a * c
        if b and 0 < discriminant <= 400 and (level < 3) == _is_square(discriminant):
            break
    text = polynomial([(a, "x^2"), (b, "x"), (c, "")])

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        square = work(author, steps, "Square", "*", b, b)
        product = work(author, steps, "Multiply", "*", 4 * a, c)
        inside = work(author, steps, "Discriminant", "-", square, product)
        return _larger_root(author, steps, (a, b), int(inside))

    return Statement("Intermediate Algebra", f"Find the larger root of ${text} = 0$.", solve)


def _is_square(value: int) -> bool:
    return value >= 0 and isqrt(value) ** 2 == value


def _square_part(value: int) -> int:
    """Return the largest number whose square divides the value."""
    return max((s for s in range(1, isqrt(abs(value)) + 1) if value % (s * s) == 0), default=1)


def _larger_root(author: Author, steps: list[Step], ab: tuple[int, int], inside: int) -> Work:
    a, b = ab
    part = _square_part(inside)
    radicand = inside // (part * part)
    if radicand in (0, 1):
        root = part * radicand
        steps.append(author.step("Square root", rf"\sqrt{{{inside}}} = {root}"))
        top = work(author, steps, "Add", "+", -b, root)
        x = work(author, steps, "Divide", "/", top, 2 * a)
        return Work(steps, number_forms(x))
    steps.append(author.step("Square root", rf"\sqrt{{{inside}}} = {surd(0, part, radicand)}"))
    whole_part, root_part = Fraction(-b, 2 * a), Fraction(part, 2 * a)
    fraction = rf"\frac{{{surd(-b, 1, inside)}}}{{{2 * a}}}"
    result = surd(whole_part, root_part, radicand)
    steps.append(author.step("Root", rf"x = {fraction} = {result}"))
    return Work(steps, (*surd_forms(whole_part, root_part, radicand), fraction))


def sequences(rng: random.Random, level: int) -> Statement:
    """Draw a term or a sum of an arithmetic sequence, or a term of a recurrence."""
    first, negative = rng.randint(2, 20), 0.06 * level
    if rng.random() < 0.5:
        return _recurrence(rng, level, first)
    difference, n = whole(rng, 2, 9, negative), rng.randint(3 + level, 8 + 2 * level)
    summed = level >= 3
    text = f"An arithmetic sequence begins with ${first}$ and has the difference ${difference}$. "
    text += f"Find the sum of its first ${n}$ terms." if summed else f"Find its term number ${n}$."

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        product = work(author, steps, "Multiply", "*", difference, n - 1)
        value = work(author, steps, "Last term", "+", product, first)
        if summed:
            value = work(author, steps, "First and last", "+", value, first)
            value = work(author, steps, "Multiply", "*", value, n)
            value = work(author, steps, "Halve", "/", value, 2)
        return Work(steps, number_forms(value))

    return Statement("Precalculus", text, solve)


def _recurrence(rng: random.Random, level: int, first: int) -> Statement:
    ratio, shift = rng.randint(2, 3), whole(rng, 2, 19, 0.5)
    count = (level + 3) // 2
    text = f"Let $a_1 = {first}$ and $a_{{k+1}} = {ratio}a_k{_tail(shift)}$. "
    text += f"Find $a_{count}$."

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        value: Number = first
        for _ in range(count - 1):
            line, product = equation(author, "*", value, ratio)
            tail, value = equation(author, "+" if shift > 0 else "-", product, abs(shift))
            steps.append(author.step("Next term", f"{line}$, ${tail}"))
        return Work(steps, number_forms(value))

    return Statement("Precalculus", text, solve)
