r"""Key relations: what a name equals, inequalities as intervals, conditions, sets by a condition.

An inequality that bounds one name by values is an interval; `and` intersects, `or` joins. All
others are keyed by the difference of their sides. Knows how to read members by a function.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ttc_client.answers.intervals import complement, intersection, union
from ttc_client.answers.keys import Kind, joined, string_key
from ttc_client.answers.names import INEQUALITIES, RELATIONS, is_function, is_name, is_value
from ttc_client.answers.structure import split

_TURNED = {">": "<", r"\ge": r"\le", "<": "<", r"\le": r"\le"}
_SIGN = re.compile("[-+]")
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_BARS = frozenset({r"\mid", "|", ":"})


@dataclass(frozen=True, slots=True)
class _Condition:
    """A set of keys, and the name that it bounds; no name where it is not a set of numbers."""

    members: frozenset[str]
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.name}:{joined(self.members)}"


def is_builder(inside: str) -> bool:
    """Whether what stands between braces is a name, a bar and a condition."""
    name, bar, _ = _built(inside)
    return bool(bar) and (is_name(name) or bool(split(name, {r"\in"})[1]))


def _built(inside: str) -> tuple[str, str, str]:
    parts, bars = split(inside, _BARS)
    return parts[0], bars[0] if bars else "", inside[len(parts[0]) :].lstrip(r"\mid|: ")


@dataclass(frozen=True, slots=True)
class RelationReader:
    """Reads relations as sets of keys: `read` reads a side, `express` keys an expression."""

    read: Callable[[str], frozenset[str]]
    express: Callable[[str, Kind], str]

    def members(self, text: str, sides: list[str], relations: list[str]) -> frozenset[str]:
        """Read one relation or a chain of them, given its sides."""
        if r"\approx" in relations:
            return self._exact(sides, relations)
        first, last = sides[0], sides[-1]
        if relations == [r"\in"]:
            return self.read(last)
        if set(relations) <= {"=", r"\equiv"}:
            if is_function(first) or (is_name(first) and is_value(last)):
                return self.read(last)
            if len(sides) == 2 and is_name(last) and is_value(first):
                return self.read(first)
        elif bounded := self._bounded(sides, relations):
            return bounded.members
        return frozenset({self._difference(text, sides, relations)})

    def conditions(self, parts: Sequence[str], separators: Sequence[str]) -> frozenset[str]:
        """Read inequalities: those with `and` between them hold at once, others one or another."""
        parts, separators = _without_domain(parts, separators)
        if gaps := self._gaps(parts, separators):
            return gaps
        groups = [[self._condition(parts[0])]]
        for part, separator in zip(parts[1:], separators, strict=True):
            if separator == r"\land":
                groups[-1].append(self._condition(part))
            else:
                groups.append([self._condition(part)])
        choices = [_all(group) for group in groups]
        if len({choice.name for choice in choices}) == 1:
            members = frozenset[str]().union(*(choice.members for choice in choices))
            # A comma may mean "and" where the two overlap, which is left open.
            return members if {",", ";"} & {*separators} else union(members)
        return frozenset(choice.text for choice in choices)

    def builder(self, inside: str) -> frozenset[str] | None:
        """Read a set of reals by its condition, `x \\mid x > 3`, or None for another set."""
        name, _, condition = _built(inside)
        sides, relations = split(name, {r"\in"})
        parts, separators = _without_domain(*split(condition, {",", ";", r"\land", r"\lor"}))
        names = {split(part, RELATIONS)[0][int(_is_turned(part))] for part in parts}
        if relations and sides[1] != r"\mathbb{R}":
            return None
        if not all(split(part, INEQUALITIES)[1] for part in parts) or not names:
            return None
        found = self.conditions(parts, [r"\lor" if s == r"\lor" else r"\land" for s in separators])
        return found if complement(found) is not None else None

    def _exact(self, sides: list[str], relations: list[str]) -> frozenset[str]:
        """Read what an approximation is of, or the number where it is of a name."""
        end = relations.index(r"\approx") + 1
        exact = [side for side in sides[:end] if side and not is_name(side)]
        if not exact:
            return self.read(sides[end])
        return self.read(" = ".join(sides[:end]) if end > 1 else exact[0])

    def _condition(self, part: str) -> _Condition:
        sides, relations = split(part, RELATIONS)
        if relations == [r"\in"] and is_name(sides[0]):
            return _Condition(self.read(sides[1]), sides[0])
        return self._bounded(sides, relations) or _Condition(self.read(part))

    def _gaps(self, parts: Sequence[str], separators: Sequence[str]) -> frozenset[str] | None:
        """Read `x \\ne 1, x \\ne 3` and `x \\ne 1, 3`: a list of what a name is not."""
        sides = [split(part, RELATIONS) for part in parts]
        name = sides[0][0][0]
        fits = [
            (not relations and is_value(values[0])) or (relations == [r"\ne"] and values[0] == name)
            for values, relations in sides
        ]
        if not sides[0][1] or not is_name(name) or not all(fits) or r"\lor" in separators:
            return None
        return complement(frozenset[str]().union(*(self.read(values[-1]) for values, _ in sides)))

    def _bounded(self, sides: list[str], relations: list[str]) -> _Condition | None:
        """Read `a < x`, `x \\le b`, `a < x \\le b` and `x \\ne a` as intervals."""
        if relations == [r"\ne"]:
            name, value = sides if is_name(sides[0]) else sides[::-1]
            gap = complement(self.read(value)) if is_name(name) and is_value(value) else None
            return _Condition(gap, name) if gap else None
        sides, relations = _rising(*_without_minus(sides, relations))
        if not set(relations) <= {"<", r"\le"}:
            return None
        match sides, relations:
            case [low, name, high], [left, right] if is_name(name):
                pass
            case [low, name], [left] if is_name(name):
                high, right = r"\infty", "<"
            case [name, high], [right] if is_name(name):
                low, left = r"-\infty", "<"
            case _:
                return None
        if not (is_value(low) and is_value(high)):
            return None
        ends = f"{joined(self.read(low))},{joined(self.read(high))}"
        key = f"{'(' if left == '<' else '['}{ends}{')' if right == '<' else ']'}"
        return _Condition(frozenset({key}), name)

    def _difference(self, text: str, sides: list[str], relations: list[str]) -> str:
        """Key by the differences of sides that are next to each other, of a chain one by one."""
        sides, relations = _rising(sides, relations)
        if not set(relations) <= {"=", r"\ne", "<", r"\le"} or not all(sides):
            return string_key(text)
        if len(sides) > 2 and set(relations) == {"="}:
            return f"={','.join(sorted(joined(self.read(side)) for side in sides))}"
        links = [
            f"{relation}:{self.express(f'({left})-({right})', _kind(relation))}"
            for (left, right), relation in zip(pairwise(sides), relations, strict=True)
        ]
        return "&".join(sorted(links))


def _kind(relation: str) -> Kind:
    return "inequality" if relation in _TURNED else "equation"


def _rising(sides: list[str], relations: list[str]) -> tuple[list[str], list[str]]:
    """Turn a chain that falls around; others are left as they are."""
    if not relations or not set(relations) <= {">", r"\ge", "="} or set(relations) == {"="}:
        return sides, relations
    return sides[::-1], [_TURNED.get(relation, relation) for relation in reversed(relations)]


def _without_minus(sides: list[str], relations: list[str]) -> tuple[list[str], list[str]]:
    """Read `-x > -1` as `x < 1`; others are left as they are."""
    if not set(relations) <= _FLIPPED.keys() or not any(
        side.startswith("-") and is_name(side[1:].strip()) for side in sides
    ):
        return sides, relations
    negated = [
        side[1:].strip() if side.startswith("-") and not _SIGN.search(side, 1) else f"-({side})"
        for side in sides
    ]
    return negated, [_FLIPPED[relation] for relation in relations]


def _is_turned(part: str) -> bool:
    sides = split(part, RELATIONS)[0]
    return len(sides) > 1 and not is_name(sides[0])


def _without_domain(
    parts: Sequence[str], separators: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Leave out `x \\in \\mathbb{R}` in front of other conditions."""
    sides, relations = split(parts[0], RELATIONS)
    if len(parts) > 1 and relations == [r"\in"] and sides[1] == r"\mathbb{R}":
        return parts[1:], separators[1:]
    return parts, separators


def _all(conditions: Sequence[_Condition]) -> _Condition:
    """Return what holds at once: an intersection where all bound one name."""
    members, name = conditions[0].members, conditions[0].name
    for other in conditions[1:]:
        both = intersection(members, other.members) if name and other.name == name else None
        if not both:
            return _Condition(frozenset({"&".join(sorted(each.text for each in conditions))}))
        members = both
    return _Condition(members, name)
