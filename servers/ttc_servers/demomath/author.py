"""The authors of solutions: a careful one is always right, a careless one slips as people do.

An author is asked for the result of every operation and works on with what it wrote, so a slip
spoils all that follows, as on paper. The slips are the procedural bugs of Brown and Burton,
"Diagnostic models for procedural bugs in basic mathematical skills" (1978): a carry dropped or
written out, the smaller digit taken from the larger, a sign lost. Each has a trigger in the
operands, so whoever learns from a careless author is consistently wrong on some problems; how
often it is pulled depends on the habit by which a step is worked out, and so on chance.
"""

import random
from fractions import Fraction
from typing import NamedTuple

from ttc_servers.demomath.latex import Number, simplest

Slips = dict[int, float]
"""Wrong results of one operation and the probability of each."""

_HARD_DIGIT = 5
"""From this digit on, a carry or a borrow goes wrong more often than not."""


class Habit(NamedTuple):
    """How an author goes about a step, which the word before its equations tells."""

    lead: str
    share: float
    slip_scale: float


_HABITS = (Habit("Compute ", 0.44, 1.55), Habit("Let ", 0.28, 0.4), Habit("Solve ", 0.28, 0.4))
"""A careless author's: in haste more often than in either of the calm ways. So who always takes
the likeliest word slips throughout, and a majority of many does not."""


class Step(NamedTuple):
    """What a step does, in words, its equations in LaTeX, and what leads over to them."""

    title: str
    equations: str
    lead: str = ""


class Author:
    """Work out operations without a slip."""

    def add(self, a: Number, b: Number) -> Number:
        """Return a + b."""
        return self._result(simplest(Fraction(a) + b), add_slips, a, b)

    def sub(self, a: Number, b: Number) -> Number:
        """Return a - b."""
        return self._result(simplest(Fraction(a) - b), sub_slips, a, b)

    def mul(self, a: Number, b: Number) -> Number:
        """Return a times b."""
        return self._result(simplest(Fraction(a) * b), mul_slips, a, b)

    def div(self, a: Number, b: Number) -> Number:
        """Return a / b in lowest terms; b is not zero."""
        return self._result(simplest(Fraction(a) / b), div_slips, a, b)

    def step(self, title: str, equations: str) -> Step:
        """Return a step of what was worked out since the one before."""
        return Step(title, equations)

    def _result(self, right: Number, slips, a: Number, b: Number) -> Number:
        return right


class CarelessAuthor(Author):
    """Work out operations with slips, drawn from `rng`.

    `scale` multiplies the probability of every triggered slip; `noise` is the probability of a
    near miss, one digit off, that has no trigger.
    """

    def __init__(self, rng: random.Random, scale: float = 1.0, noise: float = 0.01):
        self._rng, self._scale, self._noise = rng, scale, noise
        self._habit = self._next_habit()

    def step(self, title: str, equations: str) -> Step:
        """Return a step that tells the habit it was worked out by, and draw the next one's."""
        step = Step(title, equations, self._habit.lead)
        self._habit = self._next_habit()
        return step

    def _next_habit(self) -> Habit:
        return self._rng.choices(_HABITS, [habit.share for habit in _HABITS])[0]

    def _result(self, right: Number, slips, a: Number, b: Number) -> Number:
        if not isinstance(right, int):
            return right
        draw = self._rng.random()
        if draw < self._noise:
            return near_miss(right, self._rng)
        draw -= self._noise
        if isinstance(a, int) and isinstance(b, int):
            scale = self._scale * self._habit.slip_scale
            for wrong, probability in slips(a, b).items():
                draw -= probability * scale
                if draw < 0:
                    return wrong
        return right


def near_miss(right: int, rng: random.Random) -> int:
    """Return the number with one of its digits changed, or its sign."""
    digits = list(str(abs(right)))
    place = rng.randrange(len(digits) + 1)
    if place == len(digits):
        return -right if right else 1
    change = rng.choice((1, 9, 2, 8)) if rng.random() < 0.7 else rng.randrange(1, 10)
    digits[place] = str((int(digits[place]) + change) % 10)
    wrong = int("".join(digits)) * (-1 if right < 0 else 1)
    return wrong if wrong != right else right + 1


def add_slips(a: int, b: int) -> Slips:
    """Return the slips of a + b."""
    if a >= 0 and b >= 0:
        return _carry_slips(a, b)
    if a < 0 and b < 0:
        return {-wrong: probability for wrong, probability in _carry_slips(-a, -b).items()}
    larger, smaller = max(a, b, key=abs), min(a, b, key=abs)
    sign = -1 if larger < 0 else 1
    slips = {sign * wrong: p for wrong, p in _borrow_slips(abs(larger), abs(smaller)).items()}
    return _without(slips | _lost_sign(a + b, 0.12), a + b)


def sub_slips(a: int, b: int) -> Slips:
    """Return the slips of a - b: above all, minus a negative read as minus."""
    if b < 0 and a != b:
        return _without({a + b: 0.58}, a - b)
    return add_slips(a, -b)


def mul_slips(a: int, b: int) -> Slips:
    """Return the slips of a times b: the sign of two negatives, the carry of the units."""
    right = a * b
    if a < 0 and b < 0:
        return {-right: 0.58}
    small, large = sorted((abs(a), abs(b)))
    sign = -1 if right < 0 else 1
    tens, units = divmod(large, 10)
    carried = small * units
    slips: Slips = {}
    if tens and small < 10 and carried >= 10:
        dropped, written = small * tens * 10 + carried % 10, int(f"{small * tens}{carried}")
        hard = small >= _HARD_DIGIT
        slips = {sign * dropped: 0.29 if hard else 0.06, sign * written: 0.26 if hard else 0.03}
    elif not tens and small >= _HARD_DIGIT - 1:
        slips = {right + sign * small: 0.05, right - sign * small: 0.05}
    return _without(slips | _lost_sign(right, 0.06), right)


def div_slips(a: int, b: int) -> Slips:
    """Return the slips of a / b where it is whole: the sign."""
    right = a // b
    return {-right: 0.58 if a < 0 and b < 0 else 0.08} if (a < 0 or b < 0) and right else {}


def _carry_slips(x: int, y: int) -> Slips:
    units = x % 10 + y % 10
    if units < 10:
        return {}
    tens = x // 10 + y // 10
    hard = tens > 0 and y % 10 >= _HARD_DIGIT
    dropped, written = tens * 10 + units % 10, int(f"{tens}{units}")
    return _without({dropped: 0.29 if hard else 0.06, written: 0.26 if hard else 0.02}, x + y)


def _borrow_slips(x: int, y: int) -> Slips:
    if x % 10 >= y % 10:
        return {}
    wrong = (x // 10 - y // 10) * 10 + y % 10 - x % 10
    return {wrong: 0.58 if y % 10 >= _HARD_DIGIT else 0.1}


def _lost_sign(right: int, probability: float) -> Slips:
    return {-right: probability} if right < 0 else {}


def _without(slips: Slips, right: int) -> Slips:
    slips.pop(right, None)
    return slips
