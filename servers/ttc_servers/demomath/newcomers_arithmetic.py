"""Arithmetic as newcomers ask for it: sums, powers, fractions, shares and small stories."""

import random
from fractions import Fraction

from ttc_servers.demomath.arithmetic import fraction_step, percentage
from ttc_servers.demomath.author import Author
from ttc_servers.demomath.latex import Number, number, number_forms
from ttc_servers.demomath.statement import TITLES, Statement, Step, Work, solved_by, work

_SPOKEN = {
    "+": (" + ", "+", " plus "),
    "-": (" - ", "-", " minus "),
    "*": (" * ", "*", " x ", " times ", " × "),
    "/": (" / ", "/", " divided by ", " ÷ "),
}
_FRAMES = (
    *("{}", "{} =", "{} = ?", "{}?", "What is {}?", "what is {}", "What's {}?", "Calculate {}"),
    *("How much is {}?", "Compute {}.", "Evaluate {}", "Work out {}.", "Please calculate {}."),
    *("calculate {}", "compute {}", "Can you tell me what {} is?", "What does {} equal?"),
    *("{} equals what?", "Find {}.", "I need to know {}.", "Tell me {}", "What do you get for {}?"),
)
_NAMED = {
    "+": ("Add {0} and {1}", "the sum of {0} and {1}", "{0} added to {1}", "Add {1} to {0}."),
    "-": ("Subtract {1} from {0}", "the difference of {0} and {1}", "{0} take away {1}"),
    "*": ("Multiply {0} by {1}", "the product of {0} and {1}", "{0} multiplied by {1}"),
    "/": ("Divide {0} by {1}", "the quotient of {0} and {1}", "{0} divided by {1}"),
}
_ORDERS = ("Add", "Subtract", "Multiply", "Divide")
"""How a request begins that needs no frame."""


def _framed(rng: random.Random, said: str) -> str:
    if said.startswith(_ORDERS):
        polite = ("{}", "{}.", "Please {}.", "please {}", "Can you {}?")
        frame = rng.choice(polite)
        return frame.format(said.rstrip(".") if frame[0] == "{" else _lower(said.rstrip(".")))
    return rng.choice(_FRAMES).format(said)


def _lower(said: str) -> str:
    return said[0].lower() + said[1:]


def _pair(rng: random.Random, sign: str) -> tuple[int, int]:
    if sign == "*":
        return rng.randint(2, rng.choice((12, 30))), rng.randint(2, 12)
    if sign == "/":
        b = rng.randint(2, 12)
        return b * rng.randint(2, 12), b
    most = rng.choice((20, 60, 100))
    return rng.randint(1, most) * rng.choice((1, 1, 1, 1, -1)), rng.randint(1, most)


def two(rng: random.Random) -> Statement:
    sign = rng.choice("+-*/")
    a, b = _pair(rng, sign)
    said = f"{a}{rng.choice(_SPOKEN[sign])}{b}"
    if rng.random() < 0.3:
        said = rng.choice(_NAMED[sign]).format(a, b)

    return Statement("Prealgebra", _framed(rng, said), solved_by(TITLES[sign], sign, a, b))


def three(rng: random.Random) -> Statement:
    """Draw three numbers, with parentheses or by the order of operations."""
    signs = rng.choice(("+-", "-+", "--", "+*", "-*", "*+", "*-", "*+"))
    a, b, c = rng.randint(2, 50), rng.randint(2, 20), rng.randint(2, 12)
    first_last = signs[1] == "*"
    grouped = rng.random() < 0.4
    inner_last = first_last != (grouped and "*" in signs)
    spoken = [rng.choice(_SPOKEN[sign]) for sign in signs]
    if grouped:  # parentheses are written with signs, not with words
        spoken = [f" {sign} " if rng.random() < 0.6 else sign for sign in signs]
    inner = f"{b}{spoken[1]}{c}" if inner_last else f"{a}{spoken[0]}{b}"
    inner = f"({inner})" if grouped else inner
    said = f"{a}{spoken[0]}{inner}" if inner_last else f"{inner}{spoken[1]}{c}"

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        if inner_last:
            value = work(author, steps, TITLES[signs[1]], signs[1], b, c)
            value = work(author, steps, TITLES[signs[0]], signs[0], a, value)
        else:
            value = work(author, steps, TITLES[signs[0]], signs[0], a, b)
            value = work(author, steps, TITLES[signs[1]], signs[1], value, c)
        return Work(steps, number_forms(value))

    return Statement("Prealgebra", _framed(rng, said), solve)


def fractions(rng: random.Random) -> Statement:
    sign = rng.choice("+-*/")
    a, b = (Fraction(rng.randint(1, 7), rng.randint(2, 9)) for _ in "ab")
    said = f"{a}{rng.choice(_SPOKEN[sign][2:] if sign == '/' else _SPOKEN[sign])}{b}"
    if rng.random() < 0.3:
        said = rng.choice(_NAMED[sign]).format(a, b)

    def solve(author: Author) -> Work:
        step, value = fraction_step(author, sign, a, b)
        return Work([step], number_forms(value))

    return Statement("Prealgebra", _framed(rng, said), solve)


def share(rng: random.Random) -> Statement:
    name, part = rng.choice(
        (("half", 2), ("a third", 3), ("one third", 3), ("a quarter", 4), ("a fifth", 5))
    )
    amount = part * rng.randint(2, 25)

    solve = solved_by("Divide", "/", amount, part)
    return Statement("Prealgebra", _framed(rng, f"{name} of {amount}"), solve)


def percent(rng: random.Random) -> Statement:
    share, amount = 5 * rng.randint(1, 19), 20 * rng.randint(1, 20)
    said = f"{share}{rng.choice(('%', ' %', ' percent', ' per cent'))} of {amount}"

    def solve(author: Author) -> Work:
        text, part = percentage(author, amount, share)
        return Work([author.step("Percentage", text)], number_forms(part))

    return Statement("Prealgebra", _framed(rng, said), solve)


def remainder(rng: random.Random) -> Statement:
    a, b = rng.randint(10, 99), rng.randint(3, 12)
    text = rng.choice(
        (
            *("What is the remainder when {} is divided by {}?", "{} mod {}", "What is {} mod {}?"),
            *("remainder of {} divided by {}", "Find the remainder of {} divided by {}."),
            *("Divide {} by {}. What is the remainder?", "{} modulo {}", "{} % {}"),
        )
    ).format(a, b)

    def solve(author: Author) -> Work:
        quotient = a // b
        multiple = author.mul(quotient, b)
        rest = author.sub(a, multiple)
        line = rf"{a} = {quotient} \cdot {b} + {number(rest)}"
        return Work([author.step("Multiply and reduce", line)], number_forms(rest))

    return Statement("Number Theory", text, solve)


def power(rng: random.Random) -> Statement:
    exponent = rng.choice((2, 2, 3, 4, 5, 6))
    base = rng.randint(2, {2: 20, 3: 10, 4: 5}.get(exponent, 3))
    said = [f"{base}^{exponent}", f"{base} to the power of {exponent}", f"{base}**{exponent}"]
    said += {2: [f"{base} squared"] * 3, 3: [f"{base} cubed"]}.get(exponent, [])

    def solve(author: Author) -> Work:
        steps: list[Step] = []
        value: Number = base
        for _ in range(exponent - 1):
            title = "Square" if exponent == 2 else "Multiply"
            value = work(author, steps, title, "*", value, base)
        return Work(steps, number_forms(value))

    return Statement("Prealgebra", _framed(rng, rng.choice(said)), solve)


_NAMES = ("Tom", "Anna", "Maria", "Ben", "Li", "Omar", "Sara", "Paul", "Emma", "Max")
_THINGS = ("apples", "cookies", "pens", "books", "marbles", "coins", "cards", "eggs", "balloons")
_STORIES = {
    "+": (
        "{who} has {a} {what} and buys {b} more. How many has {who} now?",
        "{who} has {a} {what} and gets {b} more. How many {what} does {who} have?",
        "There are {a} {what} in a box. {who} puts in {b} more. How many are there?",
        "{who} has {a} {what}, a friend has {b}. How many do they have together?",
    ),
    "-": (
        "{who} had {a} {what} and lost {b}. How many are left?",
        "{who} has {a} {what} and gives away {b}. How many remain?",
        "There were {a} {what} and {who} took {b}. How many are left?",
        "{who} had {a} {what}, sold {b} of them. How many does {who} have now?",
    ),
    "*": (
        "One of the {what} costs {a} dollars. How much do {b} cost?",
        "A box holds {a} {what}. How many are in {b} boxes?",
        "{who} buys {b} {what} at {a} dollars each. What does {who} pay?",
        "Each of {b} children gets {a} {what}. How many is that?",
    ),
    "/": (
        "{a} {what} are shared by {b} children. How many does each get?",
        "{who} puts {a} {what} into {b} equal boxes. How many are in each?",
        "{b} {what} cost {a} dollars. How much does one cost?",
    ),
}


def story(rng: random.Random) -> Statement:
    sign = rng.choice("+-*/")
    a, b = _pair(rng, sign)
    a = abs(a) + (b if sign == "-" else 0)
    words = {"who": rng.choice(_NAMES), "what": rng.choice(_THINGS), "a": a, "b": b}

    text = rng.choice(_STORIES[sign]).format(**words)
    return Statement("Prealgebra", text, solved_by("Count", sign, a, b))
