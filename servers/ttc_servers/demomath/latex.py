"""Write exact values as LaTeX: numbers, sums, and the equivalent forms of an answer.

Knows notation only; knows nothing of problems, steps or slips.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

Number = int | Fraction

_DECIMAL_DENOMINATORS = (2, 4, 5, 10, 20)
_NUMBER = re.compile(r"(-?)(?:\\frac\{(\d+)\}\{(\d+)\}|(\d+)/(\d+)|(\d+(?:\.\d+)?))")


def simplest(value: Number) -> Number:
    """Return the value as an int where it is whole, else as a Fraction in lowest terms."""
    value = Fraction(value)
    return value.numerator if value.denominator == 1 else value


def number(value: Number) -> str:
    r"""Return a number as LaTeX: `-12`, `\frac{3}{4}`, `-\frac{3}{4}`."""
    value = simplest(value)
    if isinstance(value, int):
        return str(value)
    sign = "-" if value < 0 else ""
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def factor(value: Number) -> str:
    """Return a number to stand after an operator: a negative one in parentheses."""
    return f"({number(value)})" if value < 0 else number(value)


def polynomial(terms: Sequence[tuple[Number, str]]) -> str:
    """Return `2x^2 - x + 3` from (coefficient, power of x) pairs in their order; zeros vanish."""
    text = ""
    for coefficient, variable in terms:
        if not coefficient:
            continue
        size = abs(coefficient)
        body = variable if variable and size == 1 else number(size) + variable
        if text:
            text += (" - " if coefficient < 0 else " + ") + body
        else:
            text = ("-" if coefficient < 0 else "") + body
    return text or "0"


def plain(latex: str) -> str:
    r"""Return LaTeX as it is typed by hand: `3/4 * x` for `\frac{3}{4} \cdot x`."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", latex)
    for command, sign in ((r"\cdot", "*"), (r"\div", "/"), (r"\left", ""), (r"\right", "")):
        text = text.replace(command, sign)
    return text.replace("{", "").replace("}", "")


def number_forms(value: Number) -> tuple[str, ...]:
    """Return the forms in which an answer may give a number, the canonical one first."""
    value = simplest(value)
    if isinstance(value, int):
        return (str(value),)
    forms = [number(value), f"{value.numerator}/{value.denominator}"]
    if value.denominator in _DECIMAL_DENOMINATORS:
        forms.append(f"{float(value):.10g}")
    return tuple(forms)


def quadratic_forms(a: Number, b: Number, c: Number) -> tuple[str, ...]:
    """Return `ax^2 + bx + c` in falling and in rising order of its terms."""
    terms = [(a, "x^2"), (b, "x"), (c, "")]
    return tuple(dict.fromkeys((polynomial(terms), polynomial(terms[::-1]))))


def parse_number(text: str) -> Fraction | None:
    r"""Return the value of `-12`, `\frac{6}{8}`, `6/8` or `0.75`; None for anything else."""
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    sign, *parts = found.groups()
    top, bottom = next(((a, b) for a, b in (parts[:2], parts[2:4]) if a), (parts[4], "1"))
    return Fraction(top) / int(bottom) * (-1 if sign else 1) if int(bottom) else None


def pair_forms(x: Number, y: Number) -> tuple[str, ...]:
    """Return an ordered pair, with and without a space after its comma."""
    return f"({number(x)}, {number(y)})", f"({number(x)},{number(y)})"


def surd(whole: Number, root: Number, radicand: int) -> str:
    r"""Return `whole + root\sqrt{radicand}`."""
    return polynomial([(whole, ""), (root, rf"\sqrt{{{radicand}}}")])


def surd_forms(whole: Number, root: Number, radicand: int) -> tuple[str, ...]:
    """Return a surd sum in both orders."""
    term = (root, rf"\sqrt{{{radicand}}}")
    return tuple(dict.fromkeys((surd(whole, root, radicand), polynomial([term, (whole, "")]))))
