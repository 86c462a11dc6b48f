r"""Give every answer a canonical key, so that equivalent answers have equal keys.

Splits an answer into its structures (sets, intervals, tuples, unions, matrices, relations, `\pm`)
and keys the scalars in them: numbers and words at once, all other expressions by a function that
the caller passes, since it needs SymPy. A key is a function of the answer's text alone.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ttc_client.answers.normalise import normalise
from ttc_client.answers.scalars import scalar_key
from ttc_client.answers.structure import enclosed, nesting, split

MAX_CHARS = 1_000
"""A longer answer is compared as a string."""
MAX_DEPTH = 16
"""A more deeply nested answer is compared as a string."""

Kind = Literal["value", "equation", "inequality"]
"""What an expression f stands for: its value, the equation f = 0, or the inequality f < 0."""
ExpressionKey = Callable[[str, Kind], str]

_GREEK = r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|varphi|omega)"
_NAME = re.compile(
    rf"(?:[a-zA-Z]|{_GREEK})(?:_\{{?\w+\}}?)?'?(?:\([^()]*\))?"
    r"|[A-Z]{2,4}|m?\s*\\angle\s*[A-Z]+|\((?:[a-z],\s*)+[a-z]\)|\\text\s*\{[^{}]*\}|[a-zA-Z ]{3,}"
)
_FUNCTION_OF = re.compile(r"[a-zA-Z]\s*\([^()]*\)|[a-zA-Z]_(?:[a-z]|\{[a-z]\})")
_VARIABLE = re.compile(rf"(?<![\\a-zA-Z])(?!(?:e|i)(?![a-zA-Z]))[a-zA-Z]|{_GREEK}")
_STRUCTURE = re.compile(r"\\\{|\\begin|\\emptyset|\(.*,|\[.*,", re.DOTALL)
_MATRIX = re.compile(
    r"\\begin\{([pbB]?matrix|array)\}(?:\{[clr|\s]*\})?(?P<cells>.*)\\end\{\1\}", re.DOTALL
)
_SIGN = re.compile(r"\\pm|\\mp")
_RELATIONS = frozenset({"=", "<", ">", r"\le", r"\ge", r"\ne", r"\in", r"\approx"})
_TURNED = {">": "<", r"\ge": r"\le", "<": "<", r"\le": r"\le"}


class Refused(ValueError):  # noqa: N818 - a verdict on the text, not a fault
    """The text is no expression, or one that costs too much: it is compared as a string."""


class _NeedsSymPy(Exception):  # noqa: N818
    """The answer holds an expression that only SymPy can key."""


def canonical_key(text: str, expression_key: ExpressionKey) -> str:
    """Return the key of an answer: equal for equivalent answers, "" for an empty one.

    `expression_key` keys one expression in plain LaTeX and raises `Refused` where it will not.
    """
    plain = normalise(text) if len(text) <= MAX_CHARS else ""
    depth = nesting(plain)
    if not plain or depth is None or depth > MAX_DEPTH:
        return string_key(plain or text)
    key = _joined(_Reader(expression_key).members(plain))
    if len(key) <= 4 * MAX_CHARS:
        return key
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def inline_key(text: str) -> str | None:
    """Return the key of an answer that needs no SymPy, or None for one that does."""
    try:
        return canonical_key(text, _needs_sympy)
    except _NeedsSymPy:
        return None


def string_key(text: str) -> str:
    """Return the key of an answer that is compared as a string, its whitespace left out."""
    if len(text) > 100 * MAX_CHARS:
        return f"text:{text}"
    bare = "".join(text.split())
    return bare and f"text:{bare}"


def _needs_sympy(text: str, kind: Kind) -> str:
    raise _NeedsSymPy


def _joined(members: frozenset[str]) -> str:
    return next(iter(members)) if len(members) == 1 else f"{{{','.join(sorted(members))}}}"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads plain LaTeX as a set of members, each a key; most answers are a set of one."""

    expression_key: ExpressionKey

    def members(self, text: str) -> frozenset[str]:
        if len(parts := split(text, {",", ";"})[0]) > 1:
            return self._list(parts)
        if len(parts := split(text, {r"\cup"})[0]) > 1:
            return self._union(parts)
        sides, relations = split(text, _RELATIONS)
        if relations:
            return self._relation(text, sides, relations)
        if bracketed := enclosed(text):
            return self._bracketed(*bracketed)
        if matrix := _MATRIX.fullmatch(text):
            return frozenset({self._matrix(matrix["cells"])})
        if text in {r"\emptyset", ""}:
            return frozenset()
        if text in {r"\mathbb{R}", "all real numbers"}:
            return frozenset({"(-oo,oo)"})
        if _SIGN.search(text):
            upper = _SIGN.sub(lambda sign: "+" if sign[0] == r"\pm" else "-", text)
            lower = _SIGN.sub(lambda sign: "-" if sign[0] == r"\pm" else "+", text)
            return self._union([upper, lower])
        return frozenset({scalar_key(text) or self._expression(text, "value")})

    def _key(self, text: str) -> str:
        return _joined(self.members(text))

    def _union(self, parts: list[str]) -> frozenset[str]:
        return frozenset[str]().union(*map(self.members, parts))

    def _list(self, parts: list[str]) -> frozenset[str]:
        """Read `1, 2` and `x = 1, x = 2` as sets of numbers, `x = 1, y = 2` as named ones."""
        names = [split(part, {"="})[0][0] if "=" in part else "" for part in parts]
        if len(set(names)) == len(names) and all(map(_NAME.fullmatch, names)):
            return frozenset(
                f"{name}={self._key(part)}" for name, part in zip(names, parts, strict=True)
            )
        return self._union(parts)

    def _bracketed(self, opening: str, inside: str, closing: str) -> frozenset[str]:
        parts = split(inside, {",", ";"})[0]
        if (opening, closing) == (r"\{", r"\}"):
            return self._list(parts)
        if len(parts) > 1:
            return frozenset({f"{opening}{','.join(map(self._key, parts))}{closing}"})
        if _MATRIX.fullmatch(inside):
            return self.members(inside)
        if (opening, closing) in {("(", ")"), ("{", "}")}:
            return frozenset({key}) if (key := scalar_key(f"({inside})")) else self.members(inside)
        return frozenset({self._expression(opening + inside + closing, "value")})

    def _matrix(self, cells: str) -> str:
        rows = [split(row, {"&"})[0] for row in split(cells, {r"\\"})[0] if row]
        return f"matrix[{';'.join(','.join(map(self._key, row)) for row in rows)}]"

    def _relation(self, text: str, sides: list[str], relations: list[str]) -> frozenset[str]:
        first, last = sides[0], sides[-1]
        kinds = set(relations)
        if relations == [r"\in"]:
            return self.members(last)
        if relations == [r"\approx"]:
            return self.members(last if not first or _NAME.fullmatch(first) else first)
        if kinds == {"="}:
            if _FUNCTION_OF.fullmatch(first) or (_NAME.fullmatch(first) and _is_value(last)):
                return self.members(last)
            if len(sides) == 2 and _NAME.fullmatch(last) and _is_value(first):
                return self.members(first)
        elif interval := self._interval(sides, relations):
            return frozenset({interval})
        if len(sides) > 2 or not kinds <= {"=", r"\ne", *_TURNED}:
            return frozenset({string_key(text)})
        if kinds & {">", r"\ge"}:
            first, last = last, first
        relation = _TURNED.get(relations[0], relations[0])
        kind = "inequality" if relation in _TURNED else "equation"
        return frozenset({f"{relation}:{self._expression(f'({first})-({last})', kind)}"})

    def _interval(self, sides: list[str], relations: list[str]) -> str | None:
        """Read `a < x`, `x \\le b` and `a < x \\le b` as intervals."""
        if set(relations) <= {">", r"\ge"}:
            sides = sides[::-1]
            relations = [_TURNED[relation] for relation in reversed(relations)]
        if not set(relations) <= {"<", r"\le"}:
            return None
        match sides, relations:
            case [low, name, high], [left, right] if _NAME.fullmatch(name):
                pass
            case [low, name], [left] if _NAME.fullmatch(name):
                high, right = r"\infty", "<"
            case [name, high], [right] if _NAME.fullmatch(name):
                low, left = r"-\infty", "<"
            case _:
                return None
        if not (_is_value(low) and _is_value(high)):
            return None
        ends = f"{self._key(low)},{self._key(high)}"
        return f"{'(' if left == '<' else '['}{ends}{')' if right == '<' else ']'}"

    def _expression(self, text: str, kind: Kind) -> str:
        try:
            if r"\text" in text:
                raise Refused("words inside an expression")
            return self.expression_key(text, kind)
        except Refused:
            return string_key(text)


def _is_value(text: str) -> bool:
    """Whether a side of a relation holds no variable, or is a structure, or words."""
    if _STRUCTURE.match(text) or (scalar_key(text) or "").startswith("text:"):
        return True
    return not _VARIABLE.search(text)
