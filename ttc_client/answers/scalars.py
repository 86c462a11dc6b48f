r"""Key the scalars that need no SymPy: numbers, numbers in a base, infinities, words, choices."""

import re
from fractions import Fraction

_NUM = r"(?:\d+(?:\.\d*)?|\.\d+)"
_DECIMAL = re.compile(rf"[+-]?{_NUM}")
_FRACTION = re.compile(
    rf"(?P<sign>[+-]?)(?P<whole>\d*)\\frac\{{(?P<top>[+-]?{_NUM})\}}\{{(?P<bottom>[+-]?{_NUM})\}}"
)
_RATIO = re.compile(rf"(?P<top>[+-]?{_NUM})/(?P<bottom>{_NUM})")
_POWER_OF_TEN = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<factor>{_NUM})(?:\\times|\\cdot|\*))?10\^"
    r"(?:\{(?P<power>[+-]?\d{1,3})\}|(?P<digits>\d{1,3}))"
)
_REPEATING = re.compile(
    r"(?P<sign>[+-]?)(?P<once>\d*\.\d*)\\(?:overline|bar|dot)\{?(?P<again>\d{1,300})\}?"
)
_IN_BASE = re.compile(r"\(?(?P<digits>\d[0-9A-Z]*|[0-9A-Z]+(?=\)?_\{?1))\)?_\{?(?P<base>\d\d?)\}?")
_WHOLE = re.compile(r"-?[0-9a-f]+")
_INFINITY = re.compile(r"(?P<sign>[+-]?)\\infty")
_CHOICE = re.compile(r"\(?(?P<letter>[A-Z])[).]*|\((?P<small>[a-z])\)")
_TWO_NUMBERS = re.compile(r"\d\s+\.?\d")
_WORDS = re.compile(r"(?=.*[a-zA-Z]{3}|no$)[a-zA-Z][a-zA-Z\s'’.!?-]*", re.IGNORECASE)


def number_key(number: Fraction) -> str:
    """Return the key of an exact number; hexadecimal, since Python limits long decimals."""
    if number.denominator == 1:
        return f"{number.numerator:x}"
    return f"{number.numerator:x}/{number.denominator:x}"


def residue_key(residue: str, modulus: str) -> str:
    """Return the key of a residue class, given the keys of a member and of the modulus."""
    if _WHOLE.fullmatch(residue) and _WHOLE.fullmatch(modulus) and int(modulus, 16) > 0:
        residue = f"{int(residue, 16) % int(modulus, 16):x}"
    return f"{residue} mod {modulus}"


def scalar_key(text: str) -> str | None:
    """Return the key of a scalar in plain LaTeX, or None for one that needs SymPy."""
    if _WORDS.fullmatch(text):
        return f"text:{''.join(text.lower().split()).rstrip('.!?')}"
    if choice := _CHOICE.fullmatch(text):
        return f"text:{(choice['letter'] or choice['small']).lower()}"
    if _TWO_NUMBERS.search(text):
        return None
    text = "".join(text.split())
    if infinity := _INFINITY.fullmatch(text):
        return "-oo" if infinity["sign"] == "-" else "oo"
    if based := _IN_BASE.fullmatch(text):
        digits = based["digits"].lstrip("0") or "0"
        return f"{digits}_{based['base']}" if based["base"] != "10" else scalar_key(digits)
    try:
        number = _rational(text)
    except ZeroDivisionError:
        return None
    return None if number is None else number_key(number)


def _rational(text: str) -> Fraction | None:
    if _DECIMAL.fullmatch(text):
        return Fraction(text)
    if match := _RATIO.fullmatch(text):
        return Fraction(match["top"]) / Fraction(match["bottom"])
    if match := _POWER_OF_TEN.fullmatch(text):
        power = Fraction(10) ** int(match["power"] or match["digits"])
        return _signed(match["sign"], Fraction(match["factor"] or 1) * power)
    if match := _REPEATING.fullmatch(text):
        period = Fraction(int(match["again"]), 10 ** len(match["again"]) - 1)
        places = len(match["once"].partition(".")[2])
        once = Fraction(f"0{match['once']}")
        return _signed(match["sign"], once + period / 10**places)
    if match := _FRACTION.fullmatch(text):
        part = Fraction(match["top"]) / Fraction(match["bottom"])
        return _signed(match["sign"], int(match["whole"] or 0) + part)
    return None


def _signed(sign: str, number: Fraction) -> Fraction:
    return -number if sign == "-" else number
