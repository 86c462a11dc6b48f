r"""Rewrite an expression for latex2sympy, and refuse what is not plain algebra.

Only the tokens listed here pass. Every symbol becomes one parenthesised letter, because the
grammar reads `dx`, `\gamma`, `I` and `f(x)` in ways that an answer does not mean, and is ten times
slower on bare letters. What is refused depends on the text alone, never on time or memory.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from ttc_client.answers.keys import Refused
from ttc_client.answers.normalise import FUNCTIONS

MAX_CHARS = 400
_MAX_BARS = 4
_MAX_NESTED_EXPONENTS = 3
_LETTERS = "abchjklmnopqrstuvwxyzABCDGHJKLMNOQRSTUVWXYZ"

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+\.?\d*|\.\d+)"
    r"|(?P<root>\\sqrt\s*\[\s*\d{1,2}\s*\])"
    r"|(?P<symbol>(?:[a-zA-Z]|\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|kappa"
    r"|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Lambda|Phi|Psi|Omega"
    r"|hbar|ell)(?![a-zA-Z]))"
    r"(?:_ ?(?:\{\\?\w{1,8}\}|\w|\\(?:max|min|odot|perp|parallel)(?![a-zA-Z])))?'*)"
    rf"|(?P<command>\\(?:frac|binom|sqrt|cdot|times|div|lfloor|rfloor|lceil|rceil|lvert|rvert"
    rf"|{'|'.join(FUNCTIONS)})(?![a-zA-Z]))"
    r"|(?P<script>[\^_])"
    r"|(?P<other>[-+*/(){}\[\]!|])"
)
_UNKNOWN_FUNCTION = re.compile(r"(?<![\\a-zA-Z])[fgh]\s*\(")
_MIXED_NUMBER = re.compile(r"(?<![\d.^_a-zA-Z])(\d+)\s*(\\frac\{\d+\}\{\d+\})")
_OF_A_POWER = re.compile(
    rf"(?P<function>\\(?:{'|'.join(FUNCTIONS)})(?![a-zA-Z])) ?(?P<power>[a-zA-Z]"
    r"(?:_\w)? ?\^ ?(?:\d|[a-zA-Z]|\{[^{}]*\}))"
)
"""`\\sin x^2`, which is the sine of the square."""
_INSTEAD = {"[": "(", "]": ")", "*": r"\cdot "}


def rewrite(text: str) -> tuple[str, dict[str, str]]:
    """Return the expression with a letter for each symbol, and the symbols by their letters.

    Raises `Refused` for anything but plain algebra of a modest size.
    """
    if len(text) > MAX_CHARS or text.count("|") > _MAX_BARS or _UNKNOWN_FUNCTION.search(text):
        raise Refused("too long, too many bars, or a function without a meaning")
    letters: dict[str, str] = {}
    out: list[str] = []
    kind = token = ""
    text = _OF_A_POWER.sub(r"\g<function>(\g<power>)", _MIXED_NUMBER.sub(r"(\1+\2)", text))
    for match in _tokens(text):
        before, kind = kind, match.lastgroup or ""
        if kind == before == "number" or (match[0] == "_" and token != r"\log"):
            raise Refused(f"{token} {match[0]}")
        token = match[0]
        written = f"{token} " if kind == "command" else _INSTEAD.get(token, token)
        if kind == "symbol":
            written = f"({_letter(token, letters)})"
        if before == "script" and token != "{":
            written, kind = f"{{{written}}}", "scripted"
        out.append(written)
    rewritten = "".join(out)
    _check_exponents(rewritten)
    return rewritten, {letter: symbol for symbol, letter in letters.items()}


def _tokens(text: str) -> Iterator[re.Match[str]]:
    end = 0
    while end < len(text):
        match = _TOKEN.match(text, end)
        if not match:
            raise Refused(f"not plain algebra: {text[end]!r}")
        end = match.end()
        if match.lastgroup != "space":
            yield match


def _letter(symbol: str, letters: dict[str, str]) -> str:
    symbol = symbol.translate({ord("{"): None, ord("}"): None})
    if symbol not in letters and len(letters) == len(_LETTERS):
        raise Refused("too many symbols")
    return letters.setdefault(symbol, _LETTERS[len(letters) % len(_LETTERS)])


def _check_exponents(text: str) -> None:
    """Refuse towers of powers, whose value may not fit in memory."""
    is_exponent: list[bool] = []
    for before, character in pairwise(f" {text}"):
        if character == "{":
            is_exponent.append(before == "^")
            if sum(is_exponent) > _MAX_NESTED_EXPONENTS:
                raise Refused("a tower of powers")
        elif character == "}" and is_exponent:
            is_exponent.pop()
