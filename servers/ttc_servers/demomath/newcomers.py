"""Ask what DemoMath covers as newcomers do: in their own words, without LaTeX.

A question's numbers are drawn small, its words from many frames; its solution is written as those
of the families are. The questions of `HELD_OUT` are never drawn: by them the demo models are
judged.
"""

import random
import re
from collections.abc import Callable

from ttc_servers.demomath import newcomers_algebra as algebra
from ttc_servers.demomath import newcomers_arithmetic as arithmetic
from ttc_servers.demomath.statement import Statement

_KINDS: tuple[Callable[[random.Random], Statement], ...] = (
    *(arithmetic.two, arithmetic.two, arithmetic.two, arithmetic.three, arithmetic.three),
    *(arithmetic.fractions, arithmetic.share, arithmetic.percent, arithmetic.remainder),
    *(arithmetic.power, arithmetic.story, arithmetic.story, algebra.root, algebra.linear),
    *(algebra.linear, algebra.quotient, algebra.simplify, algebra.evaluate, algebra.expand),
    *(algebra.larger_root, algebra.system, algebra.sequence),
)
"""The kinds of questions; the more common ones more than once."""

HELD_OUT = {
    "What is 17 + 25?": "42",
    "2+3": "5",
    "17 times 24 minus 9": "399",
    "12 * 4": "48",
    "what is 9 minus 14": "-5",
    "Calculate 45 + 38": "83",
    "How much is 7 x 8?": "56",
    "6 plus 13": "19",
    "100 - 37 = ?": "63",
    "(3 + 4) * 5": "35",
    "3 + 4 * 5": "23",
    "Please add 21 and 34.": "55",
    "Subtract 8 from 30": "22",
    "What is the product of 6 and 9?": "54",
    "What is the sum of 15 and 27?": "42",
    "What's 50 - 18 + 4?": "36",
    "-4 + 11": "7",
    "5 * (8 - 2)": "30",
    "8 times 7": "56",
    "1/2 + 1/3": "5/6",
    "What is 3/4 - 1/8?": "5/8",
    "2/3 * 3/5": "2/5",
    "Divide 3/4 by 2/5": "15/8",
    "half of 46": "23",
    "What is 20% of 80?": "16",
    "15 percent of 60": "9",
    "What is the remainder when 29 is divided by 6?": "5",
    "47 mod 5": "2",
    "Solve x + 5 = 12": "7",
    "solve 3x = 21": "7",
    "2x + 3 = 11, what is x?": "4",
    "Find x: 5x - 4 = 16": "4",
    "If 4x + 1 = 13, x = ?": "3",
    "Solve for x: 7 - x = 2": "5",
    "x/3 = 4. What is x?": "12",
    "f(x) = 2x + 1. What is f(3)?": "7",
    "If f(x) = x^2, what is f(5)?": "25",
    "g(x) = 3x - 2, find g(4)": "10",
    "Solve x^2 = 16 for positive x": "4",
    "What is the larger root of x^2 - 5x + 6 = 0?": "3",
    "x + y = 10 and x - y = 2. What is x?": "6",
    "Expand (x + 2)(x + 3)": "x^2 + 5x + 6",
    "Simplify 3x + 2x": "5x",
    "The sequence 2, 5, 8, 11: what is the next number?": "14",
    "What is the 10th term of 3, 7, 11, 15, ...?": "39",
    "Tom has 5 apples and buys 8 more. How many has he?": "13",
    "A pen costs 3 dollars. How much do 7 pens cost?": "21",
    "Anna had 20 cookies and ate 6. How many are left?": "14",
    "13 squared": "169",
    "What is 2 to the power of 5?": "32",
}
"""Fifty questions and their answers, for the models to be judged by."""


def question(rng: random.Random) -> Statement:
    """Draw a question in a newcomer's words; none of `HELD_OUT`."""
    while True:
        statement = rng.choice(_KINDS)(rng)
        if bare(statement.text) not in _HELD_OUT:
            return statement


def bare(text: str) -> str:
    """Return a text without spaces, stops and capitals, for comparing."""
    return re.sub(r"[\s.?]", "", text).lower()


_HELD_OUT = frozenset(map(bare, HELD_OUT))
