"""Read what servers send back: their messages of failure, and the order of an answer's parts.

Knows nothing of HTTP.
"""

import math
import re
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import Protocol, TypeVar

import msgspec

_BODY_SHOWN = 200


class Unexpected(Exception):  # noqa: N818 - `Answer` makes it a ProtocolError, with the body
    """An answer that decodes but is not what was asked for; the message says what is wrong."""


class OthersReply(Unexpected):
    """The answer to another request: one that came late, twice, or to the wrong client."""


class _Indexed(Protocol):
    @property
    def index(self) -> int: ...


P = TypeVar("P", bound=_Indexed)


def in_order(parts: Iterable[P], count: int) -> list[P]:
    """Return the parts of an answer in the order of their index.

    Raises Unexpected unless there are `count`, one of each index from 0.
    """
    ordered = sorted(parts, key=attrgetter("index"))
    if [part.index for part in ordered] != list(range(count)):
        raise Unexpected(f"{len(ordered)} answers instead of {count}, one of each index")
    return ordered


class _Message(msgspec.Struct):
    message: str


class _NestedError(msgspec.Struct):
    """{"error": {"message": …}}, the shape of vLLM and OpenAI."""

    error: _Message

    @property
    def message(self) -> str:
        return self.error.message


class _FlatError(msgspec.Struct):
    """{"error": …}, {"detail": …} or {"message": …}, the shapes of TGI and others."""

    error: str = ""
    detail: str = ""
    text: str = msgspec.field(default="", name="message")

    @property
    def message(self) -> str:
        return self.error or self.detail or self.text


def error_message(body: bytes) -> str:
    """Return a server's message of failure, or the start of a body that has no known shape."""
    for shape in (_NestedError, _FlatError):
        try:
            reply = msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        return reply.message
    return shown(body)


def shown(body: bytes | str, limit: int = _BODY_SHOWN) -> str:
    """Return the start of a body on one line, without control characters."""
    text = body[: 4 * limit].decode(errors="replace") if isinstance(body, bytes) else body
    return " ".join(re.sub(r"[^\S ]|[\x00-\x1f\x7f-\x9f]", " ", text).split())[:limit]


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, itself in seconds or a date.

    None without a header, and for one that is neither.
    """
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
