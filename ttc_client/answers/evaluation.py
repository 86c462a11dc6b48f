"""Evaluate SymPy trees: exactly where rational, else to a hundred digits, within fixed bounds.

SymPy itself evaluates nothing here: on hostile input its constructors, its assumptions and its
solvers may never return. Imports SymPy, so that only the worker processes import this module.
"""

# pyright: basic
# mpmath has no types, and SymPy's are partial.

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

import mpmath
import sympy

from ttc_client.answers.keys import Refused

Number = Any
"""An exact `Fraction`, or a real or complex number of `mp`."""

mp = mpmath.MPContext()
"""A context of its own, since a precision set on mpmath's global one would hold for everybody."""
mp.dps = 100

_MAX_BITS = 1 << 16
_MAX_FACTORIAL = 5_000
_ZERO = mp.mpf(10) ** -70
_FUNCTIONS = {
    sympy.sin: mp.sin, sympy.cos: mp.cos, sympy.tan: mp.tan,
    sympy.cot: mp.cot, sympy.sec: mp.sec, sympy.csc: mp.csc,
    sympy.asin: mp.asin, sympy.acos: mp.acos, sympy.atan: mp.atan,
    sympy.sinh: mp.sinh, sympy.cosh: mp.cosh, sympy.tanh: mp.tanh,
    sympy.exp: mp.exp, sympy.Abs: abs,
}  # fmt: skip


def evaluate(tree: sympy.Basic, symbols: Mapping[str, Number]) -> Number:
    """Return the value of a tree whose symbols have the given values.

    Raises `Refused` for a node without a meaning here, `OverflowError` for a value beyond 2^65536,
    and `ZeroDivisionError` or `ValueError` where the tree is not defined.
    """
    if isinstance(tree, sympy.Rational):
        return Fraction(int(tree.p), int(tree.q))
    if isinstance(tree, sympy.Symbol):
        return symbols[tree.name]
    if tree is sympy.E:
        return mp.mpf(mp.e)
    return _bounded(_apply(tree.func, [evaluate(arg, symbols) for arg in tree.args]))


def real_part(number: Number) -> Number:
    """Return the real part as a `Fraction` or a real of `mp`."""
    return number if isinstance(number, Fraction) else mp.re(number)


def is_real(number: Number) -> bool:
    """Whether a number is real to within the rounding of its evaluation."""
    return isinstance(number, Fraction) or abs(mp.im(number)) <= _ZERO * abs(number)


def as_float(number: Number) -> Number:
    """Return the number in `mp`."""
    if isinstance(number, Fraction):
        return mp.mpf(number.numerator) / number.denominator
    return number


def as_fraction(real: Number, max_denominator: int) -> Fraction | None:
    """Return the simple fraction that a real number is to within rounding, or None."""
    if isinstance(real, Fraction):
        return real
    if real and abs(mp.mag(real)) > _MAX_BITS // 64:
        return None
    man, exp = real.man_exp
    exact = int(mp.sign(real)) * Fraction(int(man)) * Fraction(2) ** int(exp)
    simple = exact.limit_denominator(max_denominator)
    return simple if abs(as_float(simple - exact)) <= _ZERO * abs(real) else None


def _apply(function: Any, args: list[Number]) -> Number:
    if function is sympy.Add:
        return reduce(_add, args)
    if function is sympy.Mul:
        return reduce(_multiply, args)
    if function is sympy.Pow:
        return _power(*args)
    if function is sympy.factorial:
        return _factorial(args[0])
    if function is sympy.binomial:
        return _binomial(*args)
    if function is sympy.log:
        return reduce(lambda log, base: log / base, [mp.log(as_float(arg)) for arg in args])
    if function in {sympy.floor, sympy.ceiling}:
        return _rounded(args[0], math.floor if function is sympy.floor else math.ceil)
    if function not in _FUNCTIONS:
        raise Refused(f"no value for {function}")
    if abs(real_part(args[0])) > _MAX_BITS:
        raise OverflowError("a function of a large number")
    return _FUNCTIONS[function](as_float(args[0]))


def _add(left: Number, right: Number) -> Number:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left + right
    left, right = as_float(left), as_float(right)
    total = left + right
    return Fraction(0) if abs(total) <= _ZERO * abs(left) else total


def _multiply(left: Number, right: Number) -> Number:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left * right
    return as_float(left) * as_float(right)


def _power(base: Number, exponent: Number) -> Number:
    if is_real(exponent):
        exponent = as_fraction(real_part(exponent), 1_000) or exponent
    size = abs(exponent) * max(1, abs(_magnitude(base)))
    if size > _MAX_BITS:
        raise OverflowError("a large power")
    if not isinstance(exponent, Fraction):
        return mp.power(as_float(base), as_float(exponent))
    if exponent.denominator == 1 and isinstance(base, Fraction):
        return base**exponent.numerator
    if exponent.denominator % 2 and is_real(base) and real_part(base) < 0:
        # School's convention for odd roots: the real one.
        root = mp.power(-as_float(real_part(base)), as_float(exponent))
        return -root if exponent.numerator % 2 else root
    return mp.power(as_float(base), as_float(exponent))


def _factorial(number: Number) -> Number:
    if not is_real(number) or abs(number) > _MAX_FACTORIAL:
        raise OverflowError("a large factorial")
    if isinstance(number, Fraction) and number.denominator == 1 and number >= 0:
        return Fraction(math.factorial(number.numerator))
    return mp.factorial(as_float(number))


def _binomial(top: Number, bottom: Number) -> Number:
    if not all(is_real(arg) and abs(arg) <= _MAX_FACTORIAL for arg in (top, bottom)):
        raise OverflowError("a large binomial coefficient")
    whole = all(isinstance(arg, Fraction) and arg.denominator == 1 for arg in (top, bottom))
    if whole and min(top, bottom) >= 0:
        return Fraction(math.comb(top.numerator, bottom.numerator))
    return mp.binomial(as_float(top), as_float(bottom))


def _rounded(number: Number, to_integer: Any) -> Number:
    if not is_real(number):
        raise ValueError("rounding a complex number")
    real = real_part(number)
    exact = as_fraction(real, _MAX_BITS)
    return Fraction(int(to_integer(real if exact is None else exact)))


def _magnitude(number: Number) -> int:
    """Return the size of a number in bits, for a fraction that of its larger part."""
    if isinstance(number, Fraction):
        return max(number.numerator.bit_length(), number.denominator.bit_length())
    return int(mp.mag(number)) if number else 0


def _bounded(number: Number) -> Number:
    if not isinstance(number, Fraction) and not mp.isfinite(number):
        raise ZeroDivisionError("not finite")
    if abs(_magnitude(number)) > _MAX_BITS:
        raise OverflowError("a large number")
    return number
