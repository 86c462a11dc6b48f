"""Join, intersect and complement sets of real numbers that are given by the keys of their parts.

A part is an interval, `(a,b]`, or a number. Knows the keys of numbers as `scalars` and `symbolic`
write them: hexadecimal fractions where exact, decimals of many digits where not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

_INTERVAL = re.compile(r"([\[(])([^,()\[\]]+),([^,()\[\]]+)([\])])")
_EXACT = re.compile(r"(-?[0-9a-f]+)(?:/([0-9a-f]+))?")
_DECIMAL = re.compile(r"-?\d+\.\d+(?:e[+-]?\d{1,3})?")

Place = Fraction | float
"""A number on the line; the floats are the infinities only."""


@dataclass(frozen=True, slots=True)
class _End:
    """An end of an interval: just before (-1), at (0) or just behind (1) a number."""

    place: Place
    side: int
    key: str

    @property
    def order(self) -> tuple[Place, int]:
        return self.place, self.side


_Piece = tuple[_End, _End]
_ALL: _Piece = (_End(-float("inf"), 1, "-oo"), _End(float("inf"), -1, "oo"))


def union(parts: Iterable[str]) -> frozenset[str]:
    """Return the parts with those joined that overlap or touch; others are left as they are."""
    keys = frozenset(parts)
    pieces = {key: piece for key in keys if (piece := _piece(key))}
    if not any(low.place != high.place for low, high in pieces.values()):
        return keys
    return (keys - pieces.keys()) | _written(_joined(pieces.values()))


def intersection(left: Iterable[str], right: Iterable[str]) -> frozenset[str] | None:
    """Return the parts of the intersection, or None where a part is not of the real line."""
    lefts, rights = _pieces(left), _pieces(right)
    if lefts is None or rights is None:
        return None
    both = [
        (max(a[0], b[0], key=lambda end: end.order), min(a[1], b[1], key=lambda end: end.order))
        for a in lefts
        for b in rights
    ]
    return _written(_joined(piece for piece in both if piece[0].order <= piece[1].order))


def complement(parts: Iterable[str]) -> frozenset[str] | None:
    """Return the parts of what the real line has besides, or None as above."""
    pieces = _pieces(parts)
    if pieces is None:
        return None
    low, gaps = _ALL[0], list[_Piece]()
    for start, end in _joined(pieces):
        gaps.append((low, _End(start.place, start.side - 1, start.key)))
        low = _End(end.place, end.side + 1, end.key)
    gaps.append((low, _ALL[1]))
    return _written(gap for gap in gaps if gap[0].order <= gap[1].order)


def _pieces(parts: Iterable[str]) -> list[_Piece] | None:
    pieces = [_piece(part) for part in parts]
    found = [piece for piece in pieces if piece]
    return found if len(found) == len(pieces) else None


def _piece(key: str) -> _Piece | None:
    match = _INTERVAL.fullmatch(key)
    opening, first, last, closing = match.groups() if match else ("[", key, key, "]")
    low, high = number_of(first), number_of(last)
    if low is None or high is None or (key == first and isinstance(low, float)):
        return None
    start, end = _End(low, int(opening == "("), first), _End(high, -int(closing == ")"), last)
    return (start, end) if start.order <= end.order else None


def number_of(key: str) -> Place | None:
    """Return the real number that a key is of, to 30 digits where it is irrational, or None."""
    if key in {"oo", "-oo"}:
        return float(key.replace("oo", "inf"))
    if exact := _EXACT.fullmatch(key):
        return Fraction(int(exact[1], 16), int(exact[2] or "1", 16))
    return Fraction(key) if _DECIMAL.fullmatch(key) else None


def _joined(pieces: Iterable[_Piece]) -> list[_Piece]:
    """Return the pieces in order, no two of which overlap or touch."""
    joined: list[_Piece] = []
    for low, high in sorted(pieces, key=lambda piece: (piece[0].order, piece[1].order)):
        if joined and _meet(joined[-1][1], low):
            start, end = joined[-1]
            joined[-1] = start, max(end, high, key=lambda end: end.order)
        else:
            joined.append((low, high))
    return joined


def _meet(end: _End, start: _End) -> bool:
    """Whether nothing lies between: one of the two holds the number that both may share."""
    return start.place < end.place or (start.place == end.place and start.side - end.side <= 1)


def _written(pieces: Iterable[_Piece]) -> frozenset[str]:
    return frozenset(
        low.key
        if low.order == high.order
        else f"{'[' if low.side == 0 else '('}{low.key},{high.key}{']' if high.side == 0 else ')'}"
        for low, high in pieces
    )
