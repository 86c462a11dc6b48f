r"""Give every answer a canonical key, so that equivalent answers have equal keys.

Splits an answer into its structures (sets, intervals, tuples, unions, matrices, relations, `\pm`)
and keys the scalars in them: numbers and words at once, all other expressions by a function that
the caller passes, since it needs SymPy. A key is a function of the answer's text alone.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ttc_client.answers.intervals import complement, intersection, union
from ttc_client.answers.keys import MAX_CHARS, ExpressionKey, Kind, Refused, joined, string_key
from ttc_client.answers.matrices import matrix_rows
from ttc_client.answers.names import INEQUALITIES, RELATIONS, is_name, plain_name
from ttc_client.answers.normalise import normalise
from ttc_client.answers.relations import RelationReader, is_builder
from ttc_client.answers.scalars import residue_key, scalar_key
from ttc_client.answers.structure import enclosed, nesting, split, upright_brackets
from ttc_client.answers.units import quantity

MAX_DEPTH = 16
"""A more deeply nested answer is compared as a string."""

_SIGN = re.compile(r"\\pm|\\mp")
_MODULO = re.compile(r"(?P<base>(?:(?!\\mod\{).)+) ?\\mod\{(?P<modulus>[^{}]+)\}", re.DOTALL)
_EXCEPT = re.compile(
    r"(?:\\text ?\{ ?)?(?:all )?(?:real numbers|reals)(?: x)?,?"
    r" except(?: for)? ?\}?(?: ?x ?=)? ?(.+)",
    re.IGNORECASE,
)
_SEPARATORS = frozenset({",", ";", r"\lor", r"\land"})
_REALS = frozenset({"(-oo,oo)"})


class _NeedsSymPy(Exception):  # noqa: N818
    """The answer holds an expression that only SymPy can key."""


def canonical_key(text: str, expression_key: ExpressionKey) -> str:
    """Return the key of an answer: equal for equivalent answers, "" for an empty one.

    `expression_key` keys one expression in plain LaTeX and raises `Refused` where it will not.
    """
    plain = upright_brackets(normalise(text)) if len(text) <= MAX_CHARS else ""
    depth = nesting(plain)
    if not plain or depth is None or depth > MAX_DEPTH:
        return string_key(plain or text)
    key = joined(_Reader(expression_key).members(plain))
    if len(key) <= 4 * MAX_CHARS:
        return key
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def inline_key(text: str) -> str | None:
    """Return the key of an answer that needs no SymPy, or None for one that does."""
    try:
        return canonical_key(text, _needs_sympy)
    except _NeedsSymPy:
        return None


def _needs_sympy(text: str, kind: Kind) -> str:
    raise _NeedsSymPy


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads plain LaTeX as a set of members, each a key; most answers are a set of one."""

    expression_key: ExpressionKey

    def members(self, text: str) -> frozenset[str]:
        if r"\mod{" in text and (residues := self._residues(text)):
            return residues
        parts, separators = split(text, _SEPARATORS)
        if separators:
            return self._list(parts, separators)
        if "except" in text and (match := _EXCEPT.fullmatch(text)):
            return complement(self.members(match[1])) or frozenset({string_key(text)})
        sides, relations = split(text, RELATIONS)
        if relations and (len(relations) == 1 or r"\cup" not in text):
            return self._relations.members(text, sides, relations)
        special = self._set(text)
        if special is not None:
            return special
        if bracketed := enclosed(text):
            return self._bracketed(text, *bracketed)
        if rows := matrix_rows(text):
            return frozenset({f"matrix[{';'.join(','.join(map(self._key, row)) for row in rows)}]"})
        if _SIGN.search(text):
            upper = _SIGN.sub(lambda sign: "+" if sign[0] == r"\pm" else "-", text)
            lower = _SIGN.sub(lambda sign: "-" if sign[0] == r"\pm" else "+", text)
            return self._together([upper, lower])
        value = quantity(text)
        return frozenset({scalar_key(value) or self._expression(value, "value")})

    @property
    def _relations(self) -> RelationReader:
        return RelationReader(self.members, self._expression)

    def _key(self, text: str) -> str:
        return joined(self.members(text))

    def _together(self, parts: Iterable[str]) -> frozenset[str]:
        return frozenset[str]().union(*map(self.members, parts))

    def _set(self, text: str) -> frozenset[str] | None:
        """Read a set that is not a list: a named one, a union or a difference."""
        if text in {r"\emptyset", ""}:
            return frozenset()
        if text in {r"\mathbb{R}", "all real numbers"}:
            return _REALS
        if r"\cup" in text and len(parts := split(text, {r"\cup"})[0]) > 1:
            return union(self._together(parts))
        rest: frozenset[str] | None = None
        if r"\cap" in text and len(parts := split(text, {r"\cap"})[0]) == 2:
            rest = intersection(self.members(parts[0]), self.members(parts[1]))
            return frozenset({string_key(text)}) if rest is None else rest
        if r"\setminus" in text and len(parts := split(text, {r"\setminus"})[0]) == 2:
            gone = complement(self.members(parts[1]))
            rest = gone and intersection(self.members(parts[0]), gone)
            return rest or frozenset({string_key(text)})
        return None

    def _list(self, parts: list[str], separators: list[str]) -> frozenset[str]:
        """Read `1, 2` and `x = 1, x = 2` as sets of numbers, `x = 1, y = 2` as named ones."""
        if any(not INEQUALITIES.isdisjoint(split(part, INEQUALITIES)[1]) for part in parts):
            return self._relations.conditions(parts, separators)
        names = [split(part, {"="})[0][0] if "=" in part else "" for part in parts]
        plain = [plain_name(name) for name in names]
        if len(set(plain)) == len(names) and all(map(is_name, names)):
            return frozenset(
                f"{name}={self._key(part)}" for name, part in zip(plain, parts, strict=True)
            )
        return self._together(parts)

    def _bracketed(self, text: str, opening: str, inside: str, closing: str) -> frozenset[str]:
        parts, separators = split(inside, {",", ";"})
        if (opening, closing) == (r"\{", r"\}"):
            if is_builder(inside):
                return self._relations.builder(inside) or frozenset({string_key(text)})
            return self._list(parts, separators)
        if len(parts) > 1 and opening == "{":
            return self._list(parts, separators)
        if len(parts) > 1:
            return frozenset({f"{opening}{','.join(map(self._key, parts))}{closing}"})
        if matrix_rows(inside):
            return self.members(inside)
        if (opening, closing) in {("(", ")"), ("{", "}")}:
            return frozenset({key}) if (key := scalar_key(f"({inside})")) else self.members(inside)
        return frozenset({self._expression(opening + inside + closing, "value")})

    def _residues(self, text: str) -> frozenset[str] | None:
        """Read `x \\equiv 3 \\mod{7}` as the class of 3; None where the modulus is not of all."""
        match = _MODULO.fullmatch(text)
        if not match:
            return None
        parts = split(match["base"], _SEPARATORS)[0]
        if any(split(part, RELATIONS)[1] for part in parts[1:]):
            return None
        modulus = self._key(match["modulus"])
        return frozenset(residue_key(key, modulus) for key in self.members(match["base"].strip()))

    def _expression(self, text: str, kind: Kind) -> str:
        try:
            if r"\text" in text:
                raise Refused("words inside an expression")
            return self.expression_key(text, kind)
        except Refused:
            return string_key(text)
