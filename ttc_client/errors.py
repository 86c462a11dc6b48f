"""Everything that can go wrong, as the user is told of it.

A message names the value seen and the fix; it never holds an API key.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a hint at the nearest of the known names, with a prefix, "" if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


class TTCError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(TTCError, ValueError):
    """A setting that no search can run with."""


class ExtraError(ConfigError):
    """Something needs a package that only an extra installs."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} the extra {extra!r}: pip install '.[{extra}]' in the checkout, or name it "
            "where you install ttc-client from"
        )


class ServerError(TTCError):
    """A model server failed to give a usable answer.

    `status` is the HTTP status, None where there was no answer at all; `body` is the start of
    what the server said; `reason` says in words how it gave up every continuation, if it did.
    """

    reason = ""

    def __init__(
        self, message: str, *, url: str, status: int | None = None, body: str = ""
    ) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
        self.body = body

    @property
    def says_later(self) -> bool:
        """Whether the server is there, and said to ask again later: 429, 503."""
        return self.status in (429, 503)

    @property
    def cause(self) -> str:
        """What went wrong: an HTTP status, "garbled", "time-out", "connection", an end in words."""
        if self.reason:
            return self.reason
        if isinstance(self, GarbledError):
            return "garbled"
        if isinstance(self, TimedOutError):
            return "time-out"
        return "connection" if self.status is None else str(self.status)


class TransientServerError(ServerError):
    """A failure that may pass: no connection, a time-out, 408, 429, 5xx, a body cut short.

    `retry_after_s` is what the server asked for, None where it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        status: int | None = None,
        body: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, url=url, status=status, body=body)
        self.retry_after_s = retry_after_s


class TimedOutError(TransientServerError):
    """No connection, no sign of an answer, or no whole answer in time."""


class RequestError(ServerError):
    """The server refused the request, and would refuse it again: 400, 401, 404, 422."""


class ContextLengthError(RequestError):
    """A trajectory is longer than the model's context."""


class TooManyError(RequestError):
    """The server gives `most` continuations per request; `middleware.parts` splits larger ones."""

    def __init__(self, url: str, most: int = 1) -> None:
        given = "one continuation" if most == 1 else f"{most} continuations"
        super().__init__(f"{url} takes {given} per request", url=url)
        self.most = most


class ProtocolError(ServerError):
    """The server answered, but not what was asked for."""


class NoAnswerError(ProtocolError):
    """The server gave up every continuation of a request, and would again."""


class GarbledError(ProtocolError):
    """The body is not JSON, or not all of it: garbled on its way, or no model server's."""
