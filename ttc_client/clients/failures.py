"""Turn every failure of an exchange with a server into one of our errors.

The only place that does, for all clients. No error holds an API key. Knows nothing of requests.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ttc_client.clients.connection import TooLongError
from ttc_client.clients.decoding import NotGzipError
from ttc_client.clients.opening import (
    CONNECT_TIMEOUT_S,
    ConnectTimeoutError,
    HandshakeError,
    ProxyError,
    UnreachableError,
)
from ttc_client.clients.redaction import redacted, redacted_body
from ttc_client.clients.replies import (
    Dropped,
    OthersReply,
    Unexpected,
    error_message,
    is_of_model,
    seconds_to_wait,
    shown,
)
from ttc_client.clients.routes import InvalidProxyError
from ttc_client.errors import (
    ContextLengthError,
    GarbledError,
    NoAnswerError,
    ProtocolError,
    RequestError,
    ServerError,
    TimedOutError,
    TransientServerError,
)

BROKEN_OFF = (
    *(TooLongError, NotGzipError, InvalidProxyError, ProxyError, HandshakeError),
    OSError,  # time-outs and ssl.CertificateError too
)
"""What comes of a `Session`, or of decompressing what it brought."""

_PROXIES = "HTTP_PROXY and HTTPS_PROXY name it, NO_PROXY the hosts that need none"
_OTHER_HOST = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_NO_COMMON_VERSION = re.compile("PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS")
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH|RECORD_LAYER")
_TLS_ALERT = r": b'\x15\x03"
"""How `BrokenOffError` shows what a server that speaks TLS answers to a plain request."""
_TRANSIENT = frozenset({408, 424, 425, 429})
"""TGI and TEI answer 424 to what failed while it was computed."""
_REFUSED = frozenset({400, 413, 422})
_OF_BYTES = re.compile(
    r"\b(bytes?|[\d.]*[kmg]i?b|body|entity|payload|headers?|cookies?|upload|size)\b"
    r"|\bcontent.?(length|too)\b|\brequest\b.{0,20} too (large|long)",
    re.IGNORECASE,
)
_OF_HEADERS = re.compile("header|cookie", re.IGNORECASE)
_OF_TOKENS = re.compile(r"tokens?\b|context|max_seq|n_ctx|max_model|prompt", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.?(length|window|size|limit)|input_tokens|max_seq_len|n_ctx|too many (\w+ )?tokens|"
    r"(prompt|input|request|message|string)s?\b.{0,40} too (long|large)|"
    r"(tokens?|length|prompt|input)\b.{0,60}(\bexceeds?\b|more than).{0,60}(max|limit|length)|"
    r"supports (up to|at most) \d+ (\w+ )?tokens|"
    r"max_model_len|exceed.{0,40}\b(context|maximum (length|number of tokens))|"
    r"(`inputs`|`max_new_tokens`).{0,60}must|reduce the length",
    re.IGNORECASE,
)
_WRONG_KEY = re.compile("no connected db", re.IGNORECASE)
"""What LiteLLM's proxy answers, as 400, to a key that it does not know."""
_HINTS = {
    401: "the server wants an API key: set {key_variable}",
    403: "the server refuses this API key: check {key_variable}",
    404: "is this the right server, and its base URL without a path?",
    413: "a proxy allows no body of this size (nginx: client_max_body_size)",
    431: "a proxy allows no headers of this size (nginx: large_client_header_buffers)",
    504: "most likely the read time-out of a proxy before the server, which is shorter than the "
    "answer takes (nginx: proxy_read_timeout): raise it, or ask for less with --max-tokens",
}


P = TypeVar("P", bound=ProtocolError)


@dataclass(frozen=True, slots=True)
class Failures:
    """Makes the errors of one server, without its `secrets`: API key and own headers' values.

    `key_variable` names where the API key came from.
    """

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    key_variable: str

    def refused(
        self, path: str, status: int, body: bytes, headers: Mapping[str, str]
    ) -> ServerError:
        """Return the error for an answer that is not 200, in the server's own words."""
        said = shown(self._redacted(error_message(self._without_key(body))), limit=1000)
        text = f"{self.url}{path} answered {status}" + (f": {said}" if said else "")
        if hint := self._hint(status, said, headers.get("www-authenticate", "")):
            text += f" ({hint})"
        if _may_pass(status):
            return TransientServerError(
                text,
                url=self.url,
                status=status,
                body=said,
                retry_after_s=seconds_to_wait(headers.get("retry-after")),
            )
        if location := headers.get("location"):
            text += f" (redirected to {self._redacted(location)}: use that URL)"
        is_full = status in _REFUSED and _is_of_context(said)
        kind = ContextLengthError if is_full else RequestError
        return kind(text, url=self.url, status=status, body=said)

    def _hint(self, status: int, said: str, wanted: str) -> str:
        """Return how to mend a refusal; `wanted` is what WWW-Authenticate asks for."""
        scheme = wanted.split(" ", 1)[0].capitalize()
        if status == 401 and scheme not in ("", "Bearer"):
            return (
                f"the server wants {shown(scheme)} authentication: put the value of the header, "
                f"such as '{shown(scheme)} ...', into a variable and name it with "
                "--header Authorization=VARIABLE"
            )
        if status == 404 and is_of_model(said):
            return "--model names the model"
        if status == 400 and _WRONG_KEY.search(said):
            status = 403
        if status in _REFUSED and _TOO_LONG.search(said) and not _is_of_context(said):
            status = 431 if _OF_HEADERS.search(said) else 413
        return _HINTS.get(status, "").format(key_variable=self.key_variable)

    def broken_off(
        self, path: str, timeout_s: float, silence_s: float, error: Exception
    ) -> ServerError:
        """Return the error for one of BROKEN_OFF, raised within these two time-outs.

        Raise it `from None`: the original may hold a key.
        """
        if isinstance(error, TooLongError):
            return self.unexpected(path, str(error), error.body)
        if isinstance(error, NotGzipError):
            return self.unexpected(path, f"its gzip is damaged: {error}", kind=GarbledError)
        kind, text = self._cause(path, timeout_s, silence_s, error)
        return kind(shown(self._redacted(text), limit=1000), url=self.url)

    def _cause(
        self, path: str, timeout_s: float, silence_s: float, error: Exception
    ) -> tuple[type[ServerError], str]:
        url = self.url
        match error:
            case ConnectTimeoutError():
                proxy = f" through the proxy {error.proxy}" if error.proxy else ""
                return TimedOutError, (
                    f"{url} accepted no connection{proxy} within {CONNECT_TIMEOUT_S:g} s: is the "
                    "server running, and the host and port right?"
                )
            case TimeoutError():
                return TimedOutError, (
                    f"{url}{path} gave no answer within {timeout_s:g} s, or no sign of one within "
                    f"{silence_s:g} s: is it a model server, and not overloaded? --timeout sets "
                    "how long to wait"
                )
            case InvalidProxyError():
                return RequestError, (
                    f"the proxy on the way to {url} has no valid URL: check HTTP_PROXY and "
                    "HTTPS_PROXY"
                )
            case ssl.CertificateError():
                return RequestError, f"{_certificate(url, error)}"
            case HandshakeError():
                return RequestError, _handshake(url, error)
            case ProxyError():
                may_pass = error.status is None or _may_pass(error.status)
                return TransientServerError if may_pass else RequestError, (
                    f"the proxy {error.proxy} opens no way to {url}: {error} ({_PROXIES})"
                )
            case UnreachableError():
                return TransientServerError, (
                    f"nothing answers at {url} ({error}): is the server running, and the host and "
                    "port right?"
                )
            case _:
                hint = ": is its URL one with https:// ?" if _TLS_ALERT in str(error) else ""
                return TransientServerError, (
                    f"{url}{path} broke off the exchange ({type(error).__name__}: {error}){hint}"
                )

    def not_asked_for(
        self, path: str, problem: Unexpected, body: bytes | str = "", is_first: bool = True
    ) -> ServerError:
        """Return the error for an answer that failed a check, or that holds none.

        It may pass where it may be the reply to another request: not the first on its connection;
        and, as a status of 500, where the server gave all up for a trouble of its own.
        """
        if not isinstance(problem, Dropped):
            is_others = isinstance(problem, OthersReply) or not is_first
            kind = GarbledError if is_others else ProtocolError
            return self.unexpected(path, str(problem), body, kind)
        error: ServerError = self.unexpected(path, str(problem), body, NoAnswerError)
        if problem.may_pass:
            error = TransientServerError(str(error), url=self.url, status=500, body=problem.cause)
        error.reason = problem.cause
        return error

    def unexpected(
        self,
        path: str,
        problem: str,
        body: bytes | str = "",
        kind: type[P] = ProtocolError,
    ) -> P:
        """Return the error for a 200 that is not the answer that was asked for."""
        start = shown(self._without_key(body.encode() if isinstance(body, str) else body))
        problem = shown(self._redacted(problem), limit=1000)
        return kind(
            f"{self.url}{path} sent an unexpected answer: {problem}"
            + (f"; it begins {start!r}" if start else "")
            + ("" if kind is NoAnswerError else ". Is it the right kind of server?"),
            url=self.url,
            status=200,
            body=start,
        )

    def not_text(self, path: str, error: UnicodeEncodeError) -> RequestError:
        """Return the error for a request that cannot be encoded as UTF-8."""
        return RequestError(
            f"{self.url}{path} cannot be sent {error.object[error.start : error.end]!r}, which "
            "is not a character: is the problem's text UTF-8?",
            url=self.url,
        )

    def _without_key(self, body: bytes) -> bytes:
        for secret in self.secrets:
            body = redacted_body(body, secret)
        return body

    def _redacted(self, text: str) -> str:
        for secret in self.secrets:
            text = redacted(text, secret)
        return text.encode(errors="replace").decode()


def _is_of_context(said: str) -> bool:
    """Whether a server says that a text is longer than its model reads, not a body than allowed."""
    if not _TOO_LONG.search(said):
        return False
    return not _OF_BYTES.search(said) or bool(_OF_TOKENS.search(said))


def _may_pass(status: int) -> bool:
    return status in _TRANSIENT or (status >= 500 and status != 501)


def _certificate(url: str, error: ssl.CertificateError) -> str:
    code = getattr(error, "verify_code", None)
    said = getattr(error, "verify_message", "") or str(error)
    if code in _OTHER_HOST:
        return (
            f"the certificate of {url} is that of another host ({said}): use a name that the "
            "certificate holds"
        )
    return (
        f"the certificate of {url} is not trusted ({said}): name the CA that signed it with "
        "--ca-bundle"
    )


def _handshake(url: str, error: HandshakeError) -> str:
    if _NO_TLS.search(error.reason):
        return f"{url} does not speak TLS ({error}): is its URL one with http:// ?"
    if _NO_COMMON_VERSION.search(error.reason):
        return (
            f"{url} speaks no version of TLS that is allowed here ({error}): it needs TLS 1.2 or "
            "later"
        )
    return f"the TLS handshake with {url} failed: {error}"
