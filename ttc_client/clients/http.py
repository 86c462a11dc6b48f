"""One model server over HTTP: typed JSON in and out, and every failure as one of our errors.

Knows nothing of what is asked, of retries or of limits. aiohttp carries the hot path because it
costs a fifth of the CPU of its alternatives at hundreds of requests in flight.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ttc_client.errors import (
    ConfigError,
    ContextLengthError,
    ProtocolError,
    RequestError,
    ServerError,
    TransientServerError,
)

CONNECT_TIMEOUT_S = 10.0
GET_TIMEOUT_S = 20.0
KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection."""

_BODY_SHOWN = 200
_TRANSIENT = frozenset({408, 425, 429})
_HINTS = {
    401: "the server wants an API key: set {key_variable}",
    403: "the server refuses this API key: check {key_variable}",
    404: "is this the right server, and its base URL without a path?",
}

T = TypeVar("T")


def open_session() -> aiohttp.ClientSession:
    """Return the session that all servers of a process share; close it with `async with`."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
    return aiohttp.ClientSession(connector=connector, auto_decompress=True)


def base_url(url: str, what: str) -> str:
    """Return a server's URL without a trailing `/` or `/v1`, or raise ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{what} is {url!r}: it must be a URL such as http://localhost:8000")
    return re.sub(r"(/v1)?/*$", "", url)


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and how to speak to it.

    `timeout_s` bounds one exchange from the first byte sent to the last received. The API key
    goes into the request's header and nowhere else; `key_variable` names where it came from.
    """

    session: aiohttp.ClientSession
    url: str
    timeout_s: float
    api_key: str | None = None
    key_variable: str = "the API key"

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
        return self.decode(path, await self._exchange("POST", path, payload, self.timeout_s), reply)

    async def _exchange(self, method: str, path: str, payload: object, timeout_s: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        try:
            async with self.session.request(
                method,
                self.url + path,
                data=None if payload is None else msgspec.json.encode(payload),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                body = await response.read()
        except TimeoutError as error:
            raise TransientServerError(
                f"{self.url}{path} gave no answer within {timeout_s:g} s: is it a model "
                "server, and not overloaded? --timeout sets how long to wait",
                url=self.url,
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise TransientServerError(
                f"nothing answers at {self.url} ({error.strerror or error.os_error}): is the "
                "server running, and the host and port right?",
                url=self.url,
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransientServerError(
                f"{self.url}{path} broke off the exchange ({type(error).__name__}: {error})",
                url=self.url,
            ) from error
        if response.status != 200:
            raise self.failure(path, response.status, body, response.headers)
        return body

    def failure(
        self, path: str, status: int, body: bytes, headers: Mapping[str, str]
    ) -> ServerError:
        """Return the error for an answer that is not 200, in the server's own words."""
        said = error_message(body)
        text = f"{self.url}{path} answered {status}" + (f": {said}" if said else "")
        if hint := _HINTS.get(status):
            text += f" ({hint.format(key_variable=self.key_variable)})"
        if status in _TRANSIENT or (status >= 500 and status != 501):
            return TransientServerError(
                text,
                url=self.url,
                status=status,
                body=said,
                retry_after_s=_seconds(headers.get("Retry-After")),
            )
        if location := headers.get("Location"):
            text += f" (redirected to {location}: use that URL)"
        kind = ContextLengthError if status == 400 and _TOO_LONG.search(said) else RequestError
        return kind(text, url=self.url, status=status, body=said)

    def decode(self, path: str, body: bytes, reply_type: type[T]) -> T:
        """Decode an answer's JSON; raises as `post` does."""
        try:
            return msgspec.json.decode(body, type=reply_type)
        except msgspec.DecodeError as error:
            if "truncated" in str(error):
                raise TransientServerError(
                    f"{self.url}{path} sent a body that was cut short after {len(body)} bytes",
                    url=self.url,
                    status=200,
                    body=shown(body),
                ) from error
            raise self.protocol_error(path, str(error), body) from error

    def protocol_error(self, path: str, problem: str, body: bytes | str = "") -> ProtocolError:
        """Return the error for an answer that is not what was asked for."""
        start = f"; it begins {shown(body)!r}" if body else ""
        return ProtocolError(
            f"{self.url}{path} sent an unexpected answer: {problem}{start}. Is it the right kind "
            "of server?",
            url=self.url,
            status=200,
            body=shown(body),
        )


class _Message(msgspec.Struct):
    message: str


class _NestedError(msgspec.Struct):
    """{"error": {"message": …}}, as vLLM and OpenAI say it."""

    error: _Message

    @property
    def message(self) -> str:
        return self.error.message


class _FlatError(msgspec.Struct):
    """{"error": …}, {"detail": …} or {"message": …}, as TGI and others say it."""

    error: str = ""
    detail: str = ""
    text: str = msgspec.field(default="", name="message")

    @property
    def message(self) -> str:
        return self.error or self.detail or self.text


_TOO_LONG = re.compile(r"context length|input_tokens|too long|max_model_len", re.IGNORECASE)


def error_message(body: bytes) -> str:
    """Return what a server says went wrong, whichever of the usual shapes it says it in."""
    for shape in (_NestedError, _FlatError):
        try:
            reply = msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return shown(reply.message, limit=1000)
    return shown(body)


def shown(body: bytes | str, limit: int = _BODY_SHOWN) -> str:
    """Return the start of a body on one line, without control characters."""
    text = body[: 4 * limit].decode(errors="replace") if isinstance(body, bytes) else body
    return " ".join(re.sub(r"[^\S ]|[\x00-\x1f\x7f-\x9f]", " ", text).split())[:limit]


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
