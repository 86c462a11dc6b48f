"""Read what servers send back: their messages of failure, and the order of an answer's parts.

Knows nothing of HTTP.
"""

import math
import re
import time
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import Protocol, TypeVar

import msgspec

_BODY_SHOWN = 200


class Unexpected(Exception):  # noqa: N818 - `Answer` makes it a ProtocolError, with the body
    """An answer that decodes but is not what was asked for; the message says what is wrong."""


class OthersReply(Unexpected):
    """The answer to another request: one that came late, twice, or to the wrong client."""


class Dropped(Unexpected):
    """A choice that is no answer; `cause` says why, in a word or two, for counting.

    `may_pass`: for a trouble of the server's own, as a status of 500.
    """

    def __init__(self, cause: str, hint: str = "", *, may_pass: bool = False) -> None:
        super().__init__(f"a choice without an answer ({cause})" + (f": {hint}" if hint else ""))
        self.cause = cause
        self.may_pass = may_pass


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


class _Complaint(msgspec.Struct):
    msg: str
    loc: list[str | int] = []


class _ListedError(msgspec.Struct):
    """{"detail": [{"loc": […], "msg": …}]}, the shape of FastAPI."""

    detail: list[_Complaint]

    @property
    def message(self) -> str:
        return "; ".join(f"{'.'.join(map(str, c.loc))}: {c.msg}" for c in self.detail)


class _FlatError(msgspec.Struct):
    """{"error": …}, {"detail": …} or {"message": …}, the shapes of TGI and others."""

    error: str = ""
    detail: str = ""
    text: str = msgspec.field(default="", name="message")

    @property
    def message(self) -> str:
        return self.error or self.detail or self.text


_NO_MODEL = re.compile(
    r"model\b.{0,200}\b(not (be )?(found|exist|available|served)|n't exist|unknown)|"
    r"(no|unknown|invalid)( such)? model|no \w+ (available |serving )?for model",
    re.IGNORECASE | re.DOTALL,
)


def is_of_model(said: str) -> bool:
    """Return whether a refusal is about the name of a model."""
    return bool(_NO_MODEL.search(said))


def error_message(body: bytes) -> str:
    """Return a server's message of failure, or the start of a body that has no known shape."""
    for shape in (_NestedError, list[_NestedError], _ListedError, _FlatError):
        try:
            reply = msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        messages = [one.message for one in (reply if isinstance(reply, list) else [reply])]
        if any(messages):
            return "; ".join(messages)
    return shown(body)


class _Code(msgspec.Struct):
    code: int | str | None = None
    type: str | None = None
    status: int | str | None = None


class _InsteadOfAnswer(msgspec.Struct):
    """An answer that is an error in OpenAI's shape, or in vLLM's older, flat one."""

    error: _Code | str | None = None
    object: str | None = None
    code: int | str | None = None
    type: str | None = None


def error_status(body: bytes) -> int | None:
    """Return the HTTP status that an error object stands for; None for a body that is none.

    One without a known code counts as 500, which may pass.
    """
    try:
        reply = msgspec.json.decode(body, type=_InsteadOfAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    match reply:
        case _InsteadOfAnswer(error=_Code() as code):
            return status_of(code.code, code.status, code.type)
        case _InsteadOfAnswer(error=str() as said) if said:
            return status_of(reply.code, reply.type)
        case _InsteadOfAnswer(object="error"):
            return status_of(reply.code, reply.type)
        case _:
            return None


def status_of(*codes: int | str | None) -> int:
    """Return the HTTP status that the codes of an error stand for, the first that says one."""
    for code in codes:
        said = str(code or "")
        if re.fullmatch("[45][0-9]{2}", said):
            return int(said)
        for words, status in _STATUS_OF_WORDS:
            if words.search(said):
                return status
    return 500


_STATUS_OF_WORDS = [
    (re.compile(words, re.IGNORECASE), status)
    for words, status in (
        ("rate.?limit|too.?many|resource.?exhausted", 429),
        ("overload|unavailable|capacity|timeout|timed.?out", 503),
        ("auth|api.?key|permission|forbidden", 401),
        ("not.?found", 404),
        ("invalid|bad.?request|unsupported|context.?length|billing|insufficient.?quota", 400),
    )
]


def shown(body: bytes | str, limit: int = _BODY_SHOWN) -> str:
    """Return the start of a body on one line, without control characters."""
    text = body[: 4 * limit].decode(errors="replace") if isinstance(body, bytes) else body
    return " ".join(re.sub(r"[^\S ]|[\x00-\x1f\x7f-\x9f]", " ", text).split())[:limit]


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, itself in seconds or a date.

    None without a header, and for one that is neither. A date without a zone is GMT (RFC 9110,
    section 5.6.7).
    """
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
