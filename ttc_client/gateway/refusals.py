"""Why a request gets no answer, in OpenAI's shape."""

from typing import Any

from ttc_client.errors import (
    ConfigError,
    ContextLengthError,
    ServerError,
    TransientServerError,
    TTCError,
)

RETRY_AFTER_S = 5
"""When to ask again where a server is down."""


class RefusedError(TTCError):
    """A reply other than 200; `param` names the field at fault, `code` the kind for programs."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else _INVALID)
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


_INVALID = "invalid_request_error"
_TYPES = {429: "rate_limit_error"}


def refusal_of(error: Exception) -> RefusedError:
    """Return what a caller is told of a failure; where the servers are is none of their business.

    What is nobody's known fault is a 500, whose cause only the log has.
    """
    match error:
        case RefusedError():
            return error
        case ConfigError():
            text = str(error)
            return RefusedError(text, param=_param(text))
        case ContextLengthError():
            said = error.body or "the conversation is longer than the model's context"
            return RefusedError(said, param="messages", code="context_length_exceeded")
        case TimeoutError():
            return RefusedError(str(error) or "no time was left", status=504, code="deadline")
        case ServerError():
            return _of_server(error)
        case _:
            return RefusedError("an error in the gateway; its log says more", status=500)


def _of_server(error: ServerError) -> RefusedError:
    said = f": {error.body}" if error.body else ""
    if error.status in (400, 422):
        return RefusedError(f"a model server refused the request{said}", code="refused_upstream")
    if isinstance(error, TransientServerError):
        return RefusedError(
            f"a model server does not answer ({error.cause})",
            status=503,
            code="upstream_unavailable",
            retry_after_s=error.retry_after_s or RETRY_AFTER_S,
        )
    return RefusedError(
        f"a model server failed ({error.cause}); the gateway's log says more",
        status=502,
        code="upstream_failed",
    )


def _param(text: str) -> str | None:
    """Return the setting that a message of ours begins with: "n is 3: …"."""
    name, found, _ = text.partition(" is ")
    return name if found and name.isidentifier() else None
