"""One model server over HTTP: typed JSON in and out, and every failure as one of our errors.

Knows nothing of what is asked, of connections, of retries or of limits.
"""

from collections.abc import AsyncGenerator, Coroutine, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec

from ttc_client.clients.connection import Reply
from ttc_client.clients.decoding import decompressed, decompressing
from ttc_client.clients.failures import BROKEN_OFF, Failures
from ttc_client.clients.replies import OthersReply, Unexpected, error_status, shown
from ttc_client.clients.routes import Route, find_route
from ttc_client.clients.session import Session
from ttc_client.errors import GarbledError

GET_TIMEOUT_S = 20.0

_SILENCE_SHARE = 0.5
"""Share of `timeout_s` after which a silent server is given up: time is left for one retry."""
_HEADERS = "Accept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: ttc_client\r\n"

T = TypeVar("T")

Payload = Mapping[str, Any] | msgspec.Struct


class Answer(Generic[T]):
    """A decoded answer, checked where it is used: `with await server.ask(…) as reply:`.

    An Unexpected raised in the block leaves it as a ProtocolError that quotes the body; an
    OthersReply as one that may pass.
    """

    __slots__ = ("_body", "_path", "_reply", "_server")

    def __init__(self, server: "Server", path: str, body: bytes, reply: T) -> None:
        self._server = server
        self._path = path
        self._body = body
        self._reply = reply

    def __enter__(self) -> T:
        return self._reply

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Unexpected):
            if isinstance(error, OthersReply):
                self._server.distrust()
            raise self._server.failures.not_asked_for(self._path, error, self._body) from error


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and how to speak to it.

    `timeout_s` bounds one exchange from the first byte sent to the last received. The API key
    goes into the request's header and nowhere else; `key_variable` names where it came from.
    Requests go through `proxy`, if there is one. The header `session_header` tells a router which
    requests share a prefix. What is OpenAI's lies below `api`.

    Methods raise TransientServerError for a failure that may pass, RequestError for a request
    that the server refuses, and ProtocolError for an answer that is not what was asked for.
    """

    session: Session
    url: str
    timeout_s: float
    api_key: str | None = field(default=None, repr=False)
    key_variable: str = "the API key"
    proxy: str | None = None
    session_header: str | None = None
    api: str = "/v1"

    @property
    def failures(self) -> Failures:
        """The errors of this server."""
        return Failures(self.url, self.api_key, self.key_variable)

    async def get(self, path: str, reply_type: type[T]) -> T:
        """GET a path and decode its JSON, within `GET_TIMEOUT_S`."""
        return self._decode(path, await self._get(path), reply_type)

    async def get_text(self, path: str) -> str:
        """GET a path and return its body as it is, within `GET_TIMEOUT_S`."""
        return (await self._get(path)).decode(errors="replace")

    async def post(self, path: str, payload: Payload, reply_type: type[T]) -> T:
        """POST a payload as JSON and decode the JSON that comes back."""
        return self._decode(path, await self._post(path, payload), reply_type)

    async def ask(
        self, path: str, payload: Payload, reply_type: type[T], session: str = ""
    ) -> Answer[T]:
        """POST a payload as JSON; give the answer to a `with` block that checks it.

        `session` is the same for requests that share a prefix.
        """
        return self.answer(path, await self._post(path, payload, session), reply_type)

    def answer(self, path: str, body: bytes, reply_type: type[T]) -> Answer[T]:
        """Decode the body of an answer, for a `with` block that checks it."""
        return Answer(self, path, body, self._decode(path, body, reply_type))

    async def stream(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[bytes]:
        """POST a body of JSON and yield the body of the answer as it comes.

        Closing the generator closes the connection at once.
        """
        timeout_s, silence_s = self.timeout_s, self.timeout_s * _SILENCE_SHARE
        try:
            route = find_route(self.url, self.proxy)
            request = self._request(route, "POST", path, body, headers)
            async with self.session.stream(route, request, timeout_s, silence_s) as reply:
                pieces = decompressing(reply) if self._is_gzip(path, reply) else aiter(reply)
                if reply.status != 200:
                    said = b"".join([piece async for piece in pieces])
                    raise self.failures.refused(path, reply.status, said, reply.headers)
                async for piece in pieces:
                    yield piece
        except BROKEN_OFF as error:
            raise self.failures.broken_off(path, timeout_s, silence_s, error) from None

    def distrust(self) -> None:
        """Use no connection twice from now on: one has brought the answer to another request."""
        self.session.distrust(find_route(self.url, self.proxy))

    def session_headers(self, session: str) -> dict[str, str]:
        """Return the header that tells requests that share a prefix, by a hash of `session`."""
        if not (self.session_header and session):
            return {}
        return {self.session_header: blake2b(session.encode(), digest_size=16).hexdigest()}

    def _get(self, path: str) -> Coroutine[Any, Any, bytes]:
        return self._exchange("GET", path, None, {}, min(self.timeout_s, GET_TIMEOUT_S))

    def _post(self, path: str, payload: Payload, session: str = "") -> Coroutine[Any, Any, bytes]:
        try:
            body = msgspec.json.encode(payload)
        except UnicodeEncodeError as error:
            raise self.failures.not_text(path, error) from error
        headers = self.session_headers(session)
        return self._exchange("POST", path, body, headers, self.timeout_s)

    async def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> bytes:
        silence_s = timeout_s * _SILENCE_SHARE
        try:
            route = find_route(self.url, self.proxy)
            request = self._request(route, method, path, body, headers)
            reply = await self.session.exchange(route, request, timeout_s, silence_s)
            said = decompressed(reply.body) if self._is_gzip(path, reply) else reply.body
        except BROKEN_OFF as error:
            raise self.failures.broken_off(path, timeout_s, silence_s, error) from None
        if reply.status != 200:
            raise self.failures.refused(path, reply.status, said, reply.headers)
        return said

    def _request(
        self, route: Route, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if self.api_key:
            lines.append(f"Authorization: Bearer {self.api_key}\r\n")
        if body is not None:
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        head = f"{method} {route.base}{path} HTTP/1.1\r\n{route.headers}{_HEADERS}"
        return f"{head}{''.join(lines)}\r\n".encode() + (body or b"")

    def _is_gzip(self, path: str, reply: Reply) -> bool:
        encoding = reply.raw_headers.get(b"content-encoding", b"").lower()
        if encoding in (b"gzip", b"x-gzip"):
            return True
        if encoding not in (b"", b"identity") and reply.status == 200:
            problem = f"its encoding is {encoding.decode('latin-1')}, which was not asked for"
            raise self.failures.unexpected(path, problem)
        return False

    def _decode(self, path: str, body: bytes, reply_type: type[T]) -> T:
        try:
            try:
                return msgspec.json.decode(body, type=reply_type)
            except msgspec.ValidationError as error:
                msgspec.json.decode(body, type=msgspec.Raw)  # garbage may begin like JSON
                if status := error_status(body):
                    raise self.failures.refused(path, status, body, {}) from error
                raise self.failures.unexpected(path, str(error), body) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            cut = "cut short" if "truncated" in str(error) else shown(str(error))
            problem = f"{len(body)} bytes that are not all JSON ({cut})"
            raise self.failures.unexpected(path, problem, body, GarbledError) from error
