"""Read JSON out of a reply and compare it by what it means: order of members, spelling of numbers.

Pure; named after its values, as a module `json` would hide the library's.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn, cast

from ttc_client.tasks.functions import Measure

MAX_CHARS = 200_000
"""Of the end of a reply: a value that begins before is not found."""
_MAX_TRIES = 200
_FENCE = re.compile(r"```[ \t]*[\w.+-]*[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_OPENING = re.compile(r"[\[{]")


class NotJSONError(ValueError):
    """A text that is not JSON."""


def _refused(text: str) -> NoReturn:
    raise NotJSONError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refused)


def parsed(text: str) -> Any:
    """Return the value of a JSON text, its fractions exact; raises NotJSONError."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise NotJSONError(str(error)) from error


def json_in(text: str) -> str:
    """Return the last JSON value of a reply: a code block's, else the last object or list.

    A reply that is a value and nothing else may be a plain number or string. "" where none is.
    """
    text = text[-MAX_CHARS:]
    blocks = [match[1] for match in _FENCE.finditer(text)]
    for block in (*reversed(blocks), text):
        stripped = block.strip()
        try:
            parsed(stripped)
        except NotJSONError:
            continue
        return stripped
    return _embedded(text)


def _embedded(text: str) -> str:
    found, place = "", 0
    for _ in range(_MAX_TRIES):
        opening = _OPENING.search(text, place)
        if opening is None:
            break
        start = opening.start()
        try:
            _, place = _DECODER.raw_decode(text, start)
            found = text[start:place]
        except (ValueError, RecursionError, InvalidOperation):
            place = start + 1
    return found


def canonical(value: Any) -> str:
    """Return one text for all values that mean the same: 1.0 and 1, members in any order."""
    if isinstance(value, Mapping):
        members = sorted(cast(Mapping[str, Any], value).items())
        return "{" + ",".join(f"{json.dumps(k)}:{canonical(v)}" for k, v in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, cast(list[Any], value))) + "]"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(value)
    return json.dumps(value)


def canonical_text(text: str) -> str:
    """Do the same for a text, itself where it is not JSON."""
    try:
        return canonical(parsed(text))
    except (NotJSONError, RecursionError):
        return text


def _number(value: float | Decimal) -> str:
    exact = Decimal(str(value))
    return "0" if exact.is_zero() else f"{exact.normalize():E}"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping) and value:
        for name, member in cast(Mapping[str, Any], value).items():
            yield from _leaves(member, (*path, name))
    elif isinstance(value, list) and value:
        for member in cast(list[Any], value):
            yield from _leaves(member, (*path, "[]"))
    else:
        yield path, canonical(value)


def _both(answer: str, gold: str) -> tuple[Counter[Any], Counter[Any]] | None:
    try:
        return Counter(_leaves(parsed(answer))), Counter(_leaves(parsed(gold)))
    except (NotJSONError, RecursionError):
        return None


def exact(answer: str, gold: str) -> float:
    """Return 1 where both mean the same."""
    return float(canonical_text(answer) == canonical_text(gold))


def f1(answer: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall over the values and where they stand."""
    if (both := _both(answer, gold)) is None:
        return 0.0
    ours, theirs = both
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def contains(answer: str, gold: str) -> float:
    """Return 1 where all that the gold value holds stands at the same place of the answer."""
    both = _both(answer, gold)
    return float(both is not None and both[1] <= both[0])


MEASURES: Final[Mapping[str, Measure]] = {"exact": exact, "f1": f1, "contains": contains}
