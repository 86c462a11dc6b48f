"""Key algebraic expressions by their values, from the trees that latex2sympy parses.

`simplify` is not canonical, so expressions count as equal where their values agree: exactly where
they are rational, else in 30 of 100 digits, at fixed points for each symbol.
Imports SymPy, so that only the worker processes import this module.
"""

# pyright: basic
# latex2sympy2_extended has no types.

import hashlib
from functools import reduce
from typing import Any

import sympy
from antlr4 import PredictionMode, Token
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy

from ttc_client.answers.evaluation import (
    Number,
    as_float,
    as_fraction,
    evaluate,
    is_real,
    mp,
    real_part,
)
from ttc_client.answers.keys import Kind, Refused
from ttc_client.answers.rewrite import rewrite
from ttc_client.answers.scalars import number_key

_DIGITS = 30
_MAX_DENOMINATOR = 10**30
_CONSTANTS = {"e": mp.mpf(mp.e), "pi": mp.mpf(mp.pi), "i": mp.mpc(0, 1)}
_RANGES = ((0.2, 0.8), (1.2, 3.0), (-3.0, -0.2), (5.0, 12.0))
"""Each symbol has a point in each: inside and outside the unit interval, negative, large."""


def expression_key(text: str, kind: Kind) -> str:
    """Return the key of an expression in plain LaTeX; raises `Refused` for what has no value."""
    latex, symbols = rewrite(text)
    names = {letter: symbol.removeprefix("\\") for letter, symbol in symbols.items()}
    points = len(_RANGES) if names.values() - _CONSTANTS.keys() else 1
    tree = _parse(latex)
    values = [_value_at(tree, names, point) for point in range(points)]
    if points > 1 and "i" not in names.values():
        values = _over_the_reals(values)
    if all(value is None for value in values):
        raise Refused("defined nowhere")
    if kind != "value":
        values = _scaled(values, kind)
    elif None not in values and len(set(map(_digits, values))) == 1:
        return _constant_key(values[0])
    return f"f({','.join(map(_digits, values))})"


class _Converter(_Latex2Sympy):
    """latex2sympy's converter, made neither to round nor to guess nor to evaluate."""

    def convert_postfix_list(self, arr, i=0):
        """Multiply what stands side by side; the original adds in `2(3)`, as a mixed number."""
        return reduce(self.mul_flat, map(self.convert_postfix, arr[i:]))

    def parse_number(self, number):
        return sympy.Rational(number)

    def convert_binom(self, binom):
        top, bottom = self.convert_expr(binom.upper), self.convert_expr(binom.lower)
        return sympy.binomial(top, bottom, evaluate=False)


def _parse(latex: str) -> Any:
    converter = _Converter(config=ConversionConfig(lowercase_symbols=False))
    parser: Any = converter.create_parser(latex)
    # Prediction with full context is ten times slower, and what `rewrite` writes needs none.
    parser._interp.predictionMode = PredictionMode.SLL
    try:
        tree = parser.expr()
        if parser.getCurrentToken().type != Token.EOF:
            raise Refused("only its beginning is an expression")
        return converter.convert_expr(tree)
    except Exception as error:  # latex2sympy raises bare exceptions
        raise Refused(str(error)) from error


def _value_at(tree: sympy.Basic, names: dict[str, str], point: int) -> Number | None:
    """Evaluate at one of the fixed points; None where the expression has no value."""
    symbols = {
        letter: _CONSTANTS[name] if name in _CONSTANTS else _coordinate(name, point)
        for letter, name in names.items()
    }
    try:
        return evaluate(tree, symbols)
    except Refused:
        raise
    except (ArithmeticError, ValueError):
        return None


def _coordinate(name: str, point: int) -> Number:
    low, high = _RANGES[point]
    digest = hashlib.sha256(f"{point}:{name}".encode()).digest()
    return low + (high - low) * mp.mpf(int.from_bytes(digest)) / (1 << 256)


def _over_the_reals(values: list[Number | None]) -> list[Number | None]:
    """Leave out the points where an expression without `i` is not real, if it is real at any.

    So `x\\sqrt{x}` equals `\\sqrt{x^3}`, and `\\sqrt{x^2}` equals `|x|` but not `x`.
    """
    real = [value if value is not None and is_real(value) else None for value in values]
    return values if all(value is None for value in real) else real


def _scaled(values: list[Number | None], kind: Kind) -> list[Number | None]:
    """Divide by the first value, or for an inequality its size: multiples mean the same."""
    scale = next((as_float(value) for value in values if value), None)
    if scale is None:
        raise Refused("holds everywhere")
    scale = abs(scale) if kind == "inequality" else scale
    return [None if value is None else as_float(value) / scale for value in values]


def _digits(value: Number | None) -> str:
    if value is None:
        return "?"
    number = as_float(value)
    real = f"{mp.nstr(mp.re(number), _DIGITS)}"
    return real if is_real(value) else f"{real}+{mp.nstr(mp.im(number), _DIGITS)}i"


def _constant_key(value: Number) -> str:
    if is_real(value):
        return _real_key(real_part(value))
    return f"{_real_key(mp.re(value))}+{_real_key(mp.im(value))}i"


def _real_key(real: Number) -> str:
    exact = as_fraction(real, _MAX_DENOMINATOR)
    return f"{mp.nstr(real, _DIGITS)}" if exact is None else number_key(exact)
