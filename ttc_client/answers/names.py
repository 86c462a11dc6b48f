r"""Tell names (`x_1`, `f(x)`, `(x,y)`) from values (`\frac{1}{2}`, `(1,2)`, words)."""

import re

from ttc_client.answers.scalars import scalar_key
from ttc_client.answers.units import quantity

RELATIONS = frozenset({"=", "<", ">", r"\le", r"\ge", r"\ne", r"\in", r"\approx", r"\equiv"})
INEQUALITIES = frozenset({"<", ">", r"\le", r"\ge", r"\ne"})

_GREEK = (
    r"\\(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|lambda|mu|nu|xi|rho|sigma|tau|phi|psi"
    r"|omega|Gamma|Delta|Lambda|Phi|Psi)(?![a-zA-Z])"
)
_SYMBOL = rf"(?:\\Delta ?)?(?:[a-zA-Z]|{_GREEK}) ?(?:_ ?(?:\{{\\?\w+\}}|\w|\\(?:max|min)))?'?"
_NAME = re.compile(
    rf"{_SYMBOL}(?:\([^()]*\))?|[A-Z]{{2,4}}|m?\s*\\angle\s*[A-Z]+"
    rf"|\((?:{_SYMBOL} ?[,;] ?)+{_SYMBOL}\)|\\text\s*\{{[^{{}}]*\}}|[a-zA-Z ]{{3,}}"
)
_FUNCTION_OF = re.compile(
    rf"(?:[a-zA-Z]|{_GREEK})(?:_\{{?\\?\w+\}}?)? ?\([^()]*\)|[a-zA-Z]_(?:[a-z]|\{{[a-z]\}})"
    r"|[a-zA-Z] ?_ ?(?:\{\\?[a-zA-Z]{2,}\}|\\(?:max|min))"
)
_VARIABLE = re.compile(rf"(?<![\\a-zA-Z])(?!(?:e|i)(?![a-zA-Z]))[a-zA-Z]|{_GREEK}")
_STRUCTURE = re.compile(r"\\\{|\\begin|\\emptyset|\(.*,|\[.*,", re.DOTALL)
_SYMBOLS = re.compile(
    rf"(?P<one>{_SYMBOL})|(?P<of>(?:[a-zA-Z]|{_GREEK}) ?\([^()]*\))|(?P<figure>[A-Z]{{2,4}})"
    rf"|\((?P<several>(?:{_SYMBOL} ?[,;] ?)+{_SYMBOL})\)"
)
_SUBSCRIPT = re.compile("[_'].*")
_BRACES = str.maketrans("", "", "{} ")


def is_name(text: str) -> bool:
    """Whether a side of a relation is a name, or several in brackets, that it gives a value to."""
    return bool(_NAME.fullmatch(text))


def is_function(text: str) -> bool:
    """Whether a text is a function of something, `f(x)` or `a_n`: what it equals is its formula."""
    return bool(_FUNCTION_OF.fullmatch(text))


def symbols(name: str) -> tuple[str, ...]:
    """Return the symbols of a name in order, without subscripts; none of a name in words.

    `f(2)` is one symbol, and so is the segment `BA`, which is `AB`.
    """
    match = _SYMBOLS.fullmatch(name)
    if not match:
        return ()
    if match["figure"]:
        return ("".join(sorted(name)),)
    if match["of"]:
        return (plain_name(name),)
    each = re.split("[,;]", match["several"] or name)
    return tuple(_SUBSCRIPT.sub("", plain_name(one)) for one in each)


def plain_name(text: str) -> str:
    """Return a name in the one spelling that its key has: `x_{1}` is `x_1`."""
    return text.translate(_BRACES)


def variables(text: str) -> set[str]:
    """Return the letters that may stand for a number; not `e` and `i`."""
    return set(_VARIABLE.findall(text))


def is_value(text: str) -> bool:
    """Whether a side of a relation holds no variable, or is a structure, or words."""
    if _STRUCTURE.match(text) or "matrix}" in text or (scalar_key(text) or "").startswith("text:"):
        return True
    return not _VARIABLE.search(quantity(text))
