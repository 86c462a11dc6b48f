"""Read a cell of a problem set as text: numbers as they are written, lists, chat messages.

Pure; knows nothing of files and columns.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

_POSITIONAL_BELOW = 16
"""Numbers of fewer digits before the point are written without an exponent."""

_SMALLEST = -400
_WHOLE = re.compile(r"(-?\d+)\.0*")


class JSONNumber(str):
    """A number of a JSON file that is not an integer, in the file's own words."""

    __slots__ = ()


class CellError(ValueError):
    """A cell that has no reading as text; the message says what it holds."""


def text_of(value: Any) -> str:
    """Return a cell as text, "" for an empty one.

    A list of one is its member, and a longer one its members with commas between. A number is
    written as people write it: 0.00001, not 1e-05, and without a fraction of zero. Raises CellError
    for an object and for anything else that is not text.
    """
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    if isinstance(value, JSONNumber | float | Decimal):
        return _number(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, Mapping):
        raise CellError("an object")
    if isinstance(value, Sequence | set | frozenset):
        return ", ".join(filter(None, map(text_of, cast(Sequence[Any], value))))
    return str(value)


def question_of(value: Any) -> str:
    """Return a cell that holds a question, which may be a conversation of one user's message.

    Raises CellError for a longer conversation, and as `text_of` does.
    """
    messages = cast(list[Any], value if isinstance(value, list) else [value])
    if not messages or not all(isinstance(m, Mapping) and "role" in m for m in messages):
        return text_of(value)
    if len(messages) > 1 or messages[0]["role"] != "user":
        raise CellError("a conversation of more than one user's message")
    return _content(messages[0].get("content"))


def _content(content: Any) -> str:
    """Return the text of a message, which may come in parts."""
    if not isinstance(content, list):
        return text_of(content)
    return "".join(map(_part, cast(list[Any], content)))


def _part(part: Any) -> str:
    text = cast(Mapping[str, Any], part).get("text") if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        raise CellError("a message with more than text in it")
    return text


def _number(value: str | float | Decimal) -> str:
    literal = str(value)
    try:
        exact = Decimal(literal)
    except InvalidOperation:
        raise CellError("no number") from None
    if not exact.is_finite():
        return ""  # pandas writes NaN for an empty cell
    if exact.is_zero():
        return "0"
    if whole := _WHOLE.fullmatch(literal):
        return whole[1]
    if "e" not in literal.lower():
        return literal
    if _SMALLEST < exact.adjusted() < _POSITIONAL_BELOW:
        text = format(exact, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return literal.lower().replace("e+", "e")


def _integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python writes
        raise CellError("a number of thousands of digits") from None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CellError("bytes that are not text") from None
