"""One model server over HTTP: typed JSON in and out, and every failure as one of our errors.

Knows nothing of what is asked, of connections, of retries or of limits.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ttc_client.clients.connection import TooLongError
from ttc_client.clients.replies import Unexpected, error_message, seconds_to_wait, shown
from ttc_client.clients.routes import NoProxyError, Route, find_route
from ttc_client.clients.session import (
    CONNECT_TIMEOUT_S,
    ConnectTimeoutError,
    ProxyRefusedError,
    Session,
    UnreachableError,
)
from ttc_client.errors import (
    ContextLengthError,
    GarbledError,
    ProtocolError,
    RequestError,
    ServerError,
    TimedOutError,
    TransientServerError,
)

GET_TIMEOUT_S = 20.0
FIRST_BYTE_SHARE = 0.5
"""Of `timeout_s`: a server silent for that long is given up, with time left to ask once more."""

_HEADERS = "Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: ttc_client\r\n"
_TRANSIENT = frozenset({408, 425, 429})
_TOO_LONG = re.compile(r"context length|input_tokens|too long|max_model_len", re.IGNORECASE)
_HINTS = {
    401: "the server wants an API key: set {key_variable}",
    403: "the server refuses this API key: check {key_variable}",
    404: "is this the right server, and its base URL without a path?",
}

T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and how to speak to it.

    `timeout_s` bounds one exchange from the first byte sent to the last received. The API key
    goes into the request's header and nowhere else; `key_variable` names where it came from.
    `session_header` tells a router which requests share a prefix; `proxy` and `ca_bundle` are
    how the server is reached, the latter known to the session already.
    """

    session: Session
    url: str
    timeout_s: float
    api_key: str | None = field(default=None, repr=False)
    key_variable: str = "the API key"
    proxy: str | None = None
    session_header: str | None = None
    ca_bundle: Path | None = None

    async def get(self, path: str, reply_type: type[T]) -> T:
        """GET a path and decode its JSON; a server that is there answers that soon."""
        timeout_s = min(self.timeout_s, GET_TIMEOUT_S)
        return self.decode(path, await self._exchange("GET", path, None, timeout_s), reply_type)

    async def get_text(self, path: str) -> str:
        """GET a path and return its body as it is."""
        timeout_s = min(self.timeout_s, GET_TIMEOUT_S)
        return (await self._exchange("GET", path, None, timeout_s)).decode(errors="replace")

    async def post(
        self, path: str, payload: Mapping[str, Any] | msgspec.Struct, reply: type[T]
    ) -> T:
        """POST a payload as JSON and decode the JSON that comes back.

        Raises TransientServerError for what may pass, RequestError for what the server refuses,
        ProtocolError for an answer of another shape.
        """
        return await self.ask(path, payload, reply, _as_it_is)

    async def ask(
        self,
        path: str,
        payload: Mapping[str, Any] | msgspec.Struct,
        reply: type[T],
        read: Callable[[T], A],
        session: str = "",
    ) -> A:
        """POST a payload, and `read` the answer: Unexpected becomes a ProtocolError.

        `session` is the same for requests that share a prefix.
        """
        headers = self.session_headers(session)
        body = await self._exchange("POST", path, payload, self.timeout_s, headers)
        return self.read(path, body, reply, read)

    def session_headers(self, session: str) -> dict[str, str]:
        """Return the header that says which requests share a prefix, without saying what."""
        if not (self.session_header and session):
            return {}
        return {self.session_header: blake2b(session.encode(), digest_size=16).hexdigest()}

    async def _exchange(
        self,
        method: str,
        path: str,
        payload: object,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        try:
            route = find_route(self.url, self.proxy)
            request = self._request(route, method, path, payload, headers or {})
            reply = await self.session.exchange(
                route, request, timeout_s, timeout_s * FIRST_BYTE_SHARE
            )
        except TooLongError as error:
            raise self.protocol_error(path, str(error), error.body) from None
        except (NoProxyError, ProxyRefusedError, OSError) as error:
            raise self.broken_off(path, timeout_s, error) from None  # whose text may hold a key
        if reply.status != 200:
            raise self.failure(path, reply.status, reply.body, reply.headers)
        if (encoding := reply.raw_headers.get(b"content-encoding", b"identity")) != b"identity":
            problem = f"its encoding is {encoding.decode('latin-1')}, which was not asked for"
            raise self.protocol_error(path, problem)
        return reply.body

    def _request(
        self, route: Route, method: str, path: str, payload: object, headers: Mapping[str, str]
    ) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if self.api_key:
            lines.append(f"Authorization: Bearer {self.api_key}\r\n")
        body = b""
        if payload is not None:
            body = self._encode(path, payload)
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        head = f"{method} {route.base}{path} HTTP/1.1\r\n{route.headers}{_HEADERS}"
        return f"{head}{''.join(lines)}\r\n".encode() + body

    def _encode(self, path: str, payload: object) -> bytes:
        try:
            return msgspec.json.encode(payload)
        except UnicodeEncodeError as error:
            raise self.not_text(path, error) from error

    def not_text(self, path: str, error: UnicodeEncodeError) -> RequestError:
        """Return the error for a request that cannot be sent."""
        return RequestError(
            f"{self.url}{path} cannot be sent {error.object[error.start : error.end]!r}, which "
            "is no character: is the problem's text UTF-8?",
            url=self.url,
        )

    def broken_off(self, path: str, timeout_s: float, error: Exception) -> ServerError:
        """Return one of our errors for what went wrong on the way to a server and back."""
        kind, text = self._what_broke(path, timeout_s, error)
        return kind(shown(self._hidden(text), limit=1000), url=self.url)

    def _what_broke(
        self, path: str, timeout_s: float, error: Exception
    ) -> tuple[type[ServerError], str]:
        url = self.url
        match error:
            case ConnectTimeoutError():
                return TimedOutError, (
                    f"{url} accepted no connection within {CONNECT_TIMEOUT_S:g} s: is the server "
                    "running, and the host and port right?"
                )
            case TimeoutError():
                return TimedOutError, (
                    f"{url}{path} gave no answer within {timeout_s:g} s, or no sign of one within "
                    f"{timeout_s * FIRST_BYTE_SHARE:g} s: is it a model server, and not "
                    "overloaded? --timeout sets how long to wait"
                )
            case NoProxyError():
                return RequestError, (
                    f"the proxy on the way to {url} has no valid URL: check HTTP_PROXY and "
                    "HTTPS_PROXY"
                )
            case ssl.CertificateError():
                return RequestError, (
                    f"the certificate of {url} is not trusted ({error}): name the CA that signed "
                    "it with --ca-bundle"
                )
            case ProxyRefusedError():
                kind = TransientServerError if _may_pass(error.status) else RequestError
                return kind, f"the proxy on the way to {url} answered {error.status}"
            case UnreachableError():
                return TransientServerError, (
                    f"nothing answers at {url} ({error}): is the server running, and the host and "
                    "port right?"
                )
            case _:
                return TransientServerError, (
                    f"{url}{path} broke off the exchange ({type(error).__name__}: {error})"
                )

    def failure(
        self, path: str, status: int, body: bytes, headers: Mapping[str, str]
    ) -> ServerError:
        """Return the error for an answer that is not 200, in the server's own words."""
        said = shown(self._hidden(error_message(self._without_key(body))), limit=1000)
        text = f"{self.url}{path} answered {status}" + (f": {said}" if said else "")
        if hint := _HINTS.get(status):
            text += f" ({hint.format(key_variable=self.key_variable)})"
        if _may_pass(status):
            return TransientServerError(
                text,
                url=self.url,
                status=status,
                body=said,
                retry_after_s=seconds_to_wait(headers.get("retry-after")),
            )
        if location := headers.get("location"):
            text += f" (redirected to {self._hidden(location)}: use that URL)"
        kind = ContextLengthError if status == 400 and _TOO_LONG.search(said) else RequestError
        return kind(text, url=self.url, status=status, body=said)

    def read(self, path: str, body: bytes, reply_type: type[T], read: Callable[[T], A]) -> A:
        """Decode an answer and `read` it; raises as `ask` does."""
        return self.checked(path, body, partial(read, self.decode(path, body, reply_type)))

    def checked(self, path: str, body: bytes, read: Callable[[], A]) -> A:
        """Read a decoded answer; raises as `ask` does."""
        try:
            return read()
        except Unexpected as unexpected:
            raise self.protocol_error(path, str(unexpected), body) from unexpected

    def decode(self, path: str, body: bytes, reply_type: type[T]) -> T:
        """Decode an answer's JSON; raises as `post` does."""
        try:
            try:
                return msgspec.json.decode(body, type=reply_type)
            except msgspec.ValidationError as error:
                msgspec.json.decode(body, type=msgspec.Raw)  # garbage, too, may begin like JSON
                raise self.protocol_error(path, str(error), body) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            cut = "cut short" if "truncated" in str(error) else shown(str(error))
            problem = f"{len(body)} bytes that are not all JSON ({cut})"
            raise self.protocol_error(path, problem, body, GarbledError) from error

    def protocol_error(
        self,
        path: str,
        problem: str,
        body: bytes | str = "",
        kind: type[ProtocolError] = ProtocolError,
    ) -> ProtocolError:
        """Return the error for an answer that is not what was asked for."""
        start = shown(self._without_key(body.encode() if isinstance(body, str) else body))
        problem = shown(self._hidden(problem), limit=1000)
        return kind(
            f"{self.url}{path} sent an unexpected answer: {problem}"
            + (f"; it begins {start!r}" if start else "")
            + ". Is it the right kind of server?",
            url=self.url,
            status=200,
            body=start,
        )

    def _without_key(self, body: bytes) -> bytes:
        """Hide the API key where a server repeats it."""
        return body.replace(self.api_key.encode(), b"***") if self.api_key else body

    def _hidden(self, text: str) -> str:
        return self._without_key(text.encode(errors="replace")).decode()


def _may_pass(status: int) -> bool:
    return status in _TRANSIENT or (status >= 500 and status != 501)


def _as_it_is(reply: T) -> T:
    return reply
