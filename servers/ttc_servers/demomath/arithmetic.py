"""Families of arithmetic: integers, fractions, remainders, percentages and ratios.

A family draws a problem of a level (1 to 5, by number and size of steps) and returns it with a
function from an author to the steps and the answer's forms. The author's own results are
carried on, so the same function writes the right solution and every wrong one.
"""

import random
from fractions import Fraction

from ttc_servers.demomath.author import Author
from ttc_servers.demomath.latex import Number, factor, number, number_forms
from ttc_servers.demomath.statement import (
    SIGNS,
    TITLES,
    Statement,
    Step,
    Work,
    apply,
    equation,
    whole,
    work,
)


def integers(rng: random.Random, level: int) -> Statement:
    """Draw nested integer arithmetic with one operation for each level."""
    exact = Author()
    value: Number = whole(rng, 3, 60)
    start, text, chain = value, str(value), []
    for index in range(level):
        sign = rng.choice("+-*" if abs(value) <= 24 else "+--")
        operand = whole(rng, 2, 9) if sign == "*" else whole(rng, 4, 60)
        operand = -operand if rng.random() < 0.12 else operand
        left = rng.random() < 0.4
        inner = f"({text})" if index and (left or sign == "*") else text
        text = (
            f"{operand}{SIGNS[sign]}{inner if index or value >= 0 else factor(value)}"
            if left
            else f"{inner}{SIGNS[sign]}{factor(operand)}"
        )
        chain.append((sign, operand, left))
        value = apply(exact, sign, *((operand, value) if left else (value, operand)))

    def solve(author: Author) -> Work:
        value, steps = start, []
        for sign, operand, left in chain:
            pair = (operand, value) if left else (value, operand)
            value = work(author, steps, TITLES[sign], sign, *pair)
        return Work(steps, number_forms(value))

    return Statement("Prealgebra", f"Compute ${text}$.", solve)


def fraction_step(author: Author, sign: str, a: Fraction, b: Fraction) -> tuple[Step, Fraction]:
    lead = f"{number(a)}{SIGNS[sign]}{factor(b)}"
    if sign == "/":
        b = 1 / b
        lead += rf" = {number(a)} \cdot {factor(b)}"
    if sign in "*/":
        top = author.mul(a.numerator, b.numerator)
        bottom = author.mul(a.denominator, b.denominator)
        middle = number(top)
    else:
        left = author.mul(a.numerator, b.denominator)
        right = author.mul(b.numerator, a.denominator)
        bottom = author.mul(a.denominator, b.denominator)
        middle = f"{number(left)}{SIGNS[sign]}{factor(right)}"
        top = apply(author, sign, left, right)
    bottom = bottom or 1
    result = Fraction(top) / bottom
    parts = [lead, rf"\frac{{{middle}}}{{{number(bottom)}}}"]
    if middle != number(top):
        parts.append(rf"\frac{{{number(top)}}}{{{number(bottom)}}}")
    if number(result) != parts[-1]:
        parts.append(number(result))
    return author.step(TITLES[sign], " = ".join(parts)), result


def fractions(rng: random.Random, level: int) -> Statement:
    """Draw nested fraction arithmetic with about one operation for each level."""
    signs = "+-*/" if level > 1 else "+-*"
    while True:
        exact = Author()
        value = start = Fraction(rng.randint(1, 7), rng.randint(2, 7))
        text, chain = number(value), []
        for index in range((level + 2) // 2 if level < 5 else 4):
            sign = rng.choice(signs)
            operand = Fraction(rng.randint(1, 5 + level), rng.randint(2, 4 + level // 2))
            inner = rf"\left({text}\right)" if index and sign in "*/" else text
            text = f"{inner}{SIGNS[sign]}{number(operand)}"
            value = fraction_step(exact, sign, value, operand)[1]
            chain.append((sign, operand))
            if abs(value.numerator) > 60 or value.denominator > 36:
                break
        else:
            break

    def solve(author: Author) -> Work:
        value, steps = start, []
        for sign, operand in chain:
            if sign == "/" and not operand:
                break
            step, value = fraction_step(author, sign, value, operand)
            steps.append(step)
        return Work(steps, number_forms(value))

    return Statement("Prealgebra", f"Compute ${text}$.", solve)


def remainders(rng: random.Random, level: int) -> Statement:
    """Draw the remainder of a power, with one product for each level."""
    modulus, base = rng.randint(5, 15), rng.randint(3, 14)
    exponent = level + 1

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        value: Number = base
        for _ in range(exponent - 1):
            text, product = equation(author, "*", value, base)
            quotient = int(product // modulus)
            multiple = author.mul(quotient, modulus)
            value = author.sub(product, multiple)
            text += rf" = {quotient} \cdot {modulus} + {number(value)}"
            steps.append(author.step("Multiply and reduce", text))
        return Work(steps, number_forms(value))

    text = f"What is the remainder when ${base}^{exponent}$ is divided by ${modulus}$?"
    return Statement("Number Theory", text, solve)


_THINGS = ("apples", "books", "tickets", "coins", "stamps")
_OWNERS = ("A shop", "A school", "A club", "A farm")


def stories(rng: random.Random, level: int) -> Statement:
    """Draw percentages and ratios in sentences, one event for each level."""
    while True:
        things = rng.choice(_THINGS)
        amount = start = 10 * rng.randint(4, 40)
        text, events = f"{rng.choice(_OWNERS)} has ${amount}$ {things}.", []
        for _ in range(level):
            kind = rng.choice(("sold", "gained", "more", "fewer", "share"))
            if kind in ("sold", "gained"):
                percent = 5 * rng.randint(1, 15)
                change = Fraction(amount * percent, 100)
                amount += change if kind == "gained" else -change
                verb = "are sold" if kind == "sold" else "are bought on top"
                text += rf" Then ${percent}\%$ as many {verb}."
                events.append((kind, percent, 0))
            elif kind == "share":
                a, b = rng.randint(1, 5), rng.randint(2, 5)
                amount = Fraction(amount * a, a + b)
                text += f" They are split in the ratio ${a}:{b}$ and only the first part is kept."
                events.append((kind, a, b))
            else:
                count = rng.randint(6, 60)
                amount += count if kind == "more" else -count
                text += f" Then ${count}$ {'arrive' if kind == 'more' else 'are lost'}."
                events.append((kind, count, 0))
            if Fraction(amount).denominator != 1 or not 5 <= amount <= 600:
                break
        else:
            break

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        value: Number = start
        for kind, a, b in events:
            step, value = _event(author, kind, value, a, b)
            steps.append(step)
        return Work(steps, number_forms(value))

    return Statement("Prealgebra", f"{text} How many {things} are there now?", solve)


def _event(author: Author, kind: str, value: Number, a: int, b: int) -> tuple[Step, Number]:
    if kind in ("more", "fewer"):
        text, value = equation(author, "+" if kind == "more" else "-", value, a)
        return author.step("Count", text), value
    if kind == "share":
        text, share = _portion(author, value, author.add(a, b), a)
        return author.step("Split", text), share
    lead, part = percentage(author, value, a)
    text, result = equation(author, "+" if kind == "gained" else "-", value, part)
    return author.step("Percentage", f"{lead}$, ${text}"), result


def percentage(author: Author, value: Number, percent: int) -> tuple[str, Number]:
    """Return how a percentage, a multiple of 5, is worked out by twentieths, and the result."""
    return _portion(author, value, 20, percent // 5)


def _portion(author: Author, value: Number, parts: Number, times: int) -> tuple[str, Number]:
    """Return the equations of `times` of so many equal parts of a value, and the result."""
    one = author.div(value, parts or 1)
    result = author.mul(one, times)
    text = rf"{number(value)} \div {number(parts)} = {number(one)}$, "
    return text + rf"${factor(one)} \cdot {times} = {number(result)}", result
