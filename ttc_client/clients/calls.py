"""Completions that call tools, as texts.

What is said comes first, then each call behind a record separator (RFC 7464), in canonical JSON:
so calls that do the same read the same.
"""

import json
from collections.abc import Sequence
from typing import Any

SEPARATOR = "\x1e"

Call = tuple[str, str]
"""The name of a tool, and its arguments in JSON."""


def only_said(text: str) -> str:
    """Return what a model wrote so that none of it can pass for a call."""
    return text.replace(SEPARATOR, "\ufffd")


def with_calls(calls: Sequence[Call]) -> str:
    """Return calls, each a name and its arguments in JSON, as they stand in a completion's text."""
    return "".join(
        SEPARATOR + json.dumps({"name": name, "arguments": canonical_json(arguments)})
        for name, arguments in calls
    )


def calls_in(text: str) -> tuple[str, list[Call]]:
    """Return what a completion says, and the tools that it calls: names and their arguments."""
    said, *calls = text.split(SEPARATOR)
    read = [json.loads(call) for call in calls]
    return said, [(call["name"], call["arguments"]) for call in read]


def canonical_json(text: str) -> str:
    """Return JSON so that equal values read the same: keys sorted, 1.0 as 1; other text as it is.

    A key that stands twice, NaN and infinities make it no JSON.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_number, object_pairs_hook=_object
        )
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _number(text: str) -> int | float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
