"""One model server over HTTP: typed JSON in and out, and every failure as one of our errors.

Knows nothing of what is asked, of connections, of retries or of limits.
"""

from collections.abc import AsyncGenerator, Awaitable, Mapping
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
from ttc_client.errors import GarbledError, ProtocolError

GET_TIMEOUT_S = 20.0

_SILENCE_SHARE = 0.5
"""Share of `timeout_s` after which a silent server is given up: time is left for one retry."""
_NO_HEADERS: Mapping[str, str] = {}
_HEADERS = "Accept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: ttc_client\r\n"

T = TypeVar("T")

Payload = Mapping[str, Any] | msgspec.Struct

Said = tuple[bytes, bool]
"""The body of a reply, and whether its connection was new."""


class Answer(Generic[T]):
    """A decoded answer, checked where it is used: `with await server.ask(…) as reply:`.

    An Unexpected raised in the block leaves it as a ProtocolError that quotes the body; an
    OthersReply as one that may pass, and so does every other that was `said` on a used connection,
    for it may be the reply to an earlier request.
    """

    __slots__ = ("_path", "_reply", "_said", "_server")

    def __init__(self, server: "Server", path: str, said: "Said", reply: T) -> None:
        self._server = server
        self._path = path
        self._said = said
        self._reply = reply

    @property
    def is_first(self) -> bool:
        """Whether the connection was new, so that it is the answer to no earlier request."""
        return self._said[1]

    def __enter__(self) -> T:
        return self._reply

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Unexpected):
            if isinstance(error, OthersReply):
                self._server.distrust()
            body, is_first = self._said
            raise self._server.failures.not_asked_for(self._path, error, body, is_first) from error


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and how to speak to it.

    `timeout_s` bounds one exchange from the first byte sent to the last received. The API key
    goes into the request's header and nowhere else, unless `headers`, which no message shows
    either, hold another Authorization; `key_variable` names where the key came from.
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
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    proxy: str | None = None
    session_header: str | None = None
    api: str = "/v1"

    @property
    def failures(self) -> Failures:
        """The errors of this server."""
        return Failures(self.url, self._secrets, self.key_variable)

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What no message may show: the API key, and headers' values with and without a scheme."""
        values = self.headers.values()
        words = [word for value in values for word in (value, value.rpartition(" ")[2])]
        return tuple(dict.fromkeys(filter(None, (self.api_key, *words))))

    async def get(self, path: str, reply_type: type[T]) -> T:
        """GET a path and decode its JSON, within `GET_TIMEOUT_S`."""
        with await self._asked("GET", path, None, {}, reply_type) as reply:
            return reply

    async def get_text(self, path: str) -> str:
        """GET a path and return its body as it is, within `GET_TIMEOUT_S`."""
        return (await self.exchange("GET", path))[0].decode(errors="replace")

    async def post(self, path: str, payload: Payload, reply_type: type[T]) -> T:
        """POST a payload as JSON and decode the JSON that comes back."""
        with await self.ask(path, payload, reply_type) as reply:
            return reply

    def ask(
        self, path: str, payload: Payload, reply_type: type[T], session: str = ""
    ) -> Awaitable[Answer[T]]:
        """POST a payload as JSON; give the answer to a `with` block that checks it.

        `session` is the same for requests that share a prefix.
        """
        body, headers = self._encoded(path, payload), self.session_headers(session)
        return self._asked("POST", path, body, headers, reply_type)

    def answer(self, path: str, said: Said, reply_type: type[T]) -> Answer[T]:
        """Decode the body of an answer, for a `with` block that checks it.

        Raises GarbledError, which may pass, for what may be the reply to an earlier request.
        """
        try:
            return Answer(self, path, said, self._decode(path, said[0], reply_type))
        except ProtocolError as error:
            if said[1]:
                raise
            raise GarbledError(str(error), url=error.url, status=200, body=error.body) from None

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

    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        *,
        anew: bool = False,
    ) -> Said:
        """Send a request and return what the server says, on a new connection if asked `anew`."""
        timeout_s = self.timeout_s if method == "POST" else min(self.timeout_s, GET_TIMEOUT_S)
        silence_s = timeout_s * _SILENCE_SHARE
        send = self.session.exchange_anew if anew else self.session.exchange
        try:
            route = find_route(self.url, self.proxy)
            request = self._request(route, method, path, body, headers)
            reply = await send(route, request, timeout_s, silence_s)
            said = decompressed(reply.body) if self._is_gzip(path, reply) else reply.body
        except BROKEN_OFF as error:
            raise self.failures.broken_off(path, timeout_s, silence_s, error) from None
        if reply.status != 200:
            raise self.failures.refused(path, reply.status, said, reply.headers)
        return said, reply.is_first

    async def _asked(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        reply_type: type[T],
    ) -> Answer[T]:
        """Send a request and decode what comes back.

        What is another thing on a used connection may be a late reply to an earlier request, of
        another client to the same server: asked again at once.
        """
        said = await self.exchange(method, path, body, headers)
        try:
            return Answer(self, path, said, self._decode(path, said[0], reply_type))
        except ProtocolError as error:
            if said[1] or isinstance(error, GarbledError):
                raise
        said = await self.exchange(method, path, body, headers, anew=True)
        decoded = self._decode(path, said[0], reply_type)
        self.distrust()
        return Answer(self, path, said, decoded)

    def _encoded(self, path: str, payload: Payload) -> bytes:
        try:
            return msgspec.json.encode(payload)
        except UnicodeEncodeError as error:
            raise self.failures.not_text(path, error) from error

    def _request(
        self, route: Route, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if self.headers:
            lines += [f"{name}: {value}\r\n" for name, value in self.headers.items()]
        if self.api_key and "Authorization" not in self.headers:
            lines.append(f"Authorization: Bearer {self.api_key}\r\n")
        if body is not None:
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        head = f"{method} {route.base}{path} HTTP/1.1\r\n{route.headers}{_HEADERS}"
        return f"{head}{''.join(lines)}\r\n".encode() + (body or b"")

    def _is_gzip(self, path: str, reply: Reply) -> bool:
        encoding = reply.raw_headers.get(b"content-encoding")
        if not encoding:
            return False
        encoding = encoding.lower()
        if encoding in (b"gzip", b"x-gzip"):
            return True
        if encoding != b"identity" and reply.status == 200:
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
