"""One connection to a server, HTTP/1.1, and one exchange over it at a time.

A request leaves in one write, and its reply comes back whole: asyncio carries the bytes and TLS,
httptools (the parser of Node.js) reads them. What a general client does beyond that costs four
times as much CPU, half of all that a search takes (`scripts/bench/client.py`). Knows nothing of
addresses or JSON.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

import httptools

MAX_BODY_BYTES = 1 << 26
"""A reply that is larger, its headers included, is refused before memory is full."""

_SHOWN = 1 << 13
"""Of what is no HTTP; long, since whoever shows it hides secrets first, which must be whole."""

_CLOSED = "it closed the connection"
_LENGTHS = {b"content-length", b"transfer-encoding"}


class BrokenOffError(ConnectionError):
    """The connection ended, or went wrong, before the reply was whole."""


class TooLongError(Exception):
    """A reply is larger than any that is wanted; `body` is what has come of it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(f"more than {MAX_BODY_BYTES} bytes")
        self.body = body


@dataclass(slots=True)
class Reply:
    """What a server answered."""

    status: int
    raw_headers: dict[bytes, bytes]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers, their names in small letters."""
        return {k.decode("latin-1"): v.decode("latin-1") for k, v in self.raw_headers.items()}


class Connection(asyncio.BufferedProtocol):
    """An open connection; `usable` says whether it may carry another exchange.

    An exchange that fails or is cancelled closes it, which tells the server to stop. `buffer` is
    what it reads into; all connections may share one, as what is read is parsed at once.
    """

    usable = False
    idle_since_s = 0.0
    _num_bytes: int
    _num_bytes_seen: int
    _transport: asyncio.Transport
    _parser: httptools.HttpResponseParser
    _reply: asyncio.Future[Reply] | None = None

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._loop = asyncio.get_running_loop()
        self._begin_reply()

    async def exchange(
        self, request: bytes, timeout_s: float, silence_s: float, *, is_connect: bool = False
    ) -> Reply:
        """Send a request, and return its reply; that to CONNECT has no body.

        Raises TimeoutError unless the reply begins within `silence_s` and is whole within
        `timeout_s`, with no long silence in between; BrokenOffError; TooLongError.
        """
        loop, now_s = self._loop, self._loop.time()
        self.usable, self._is_connect = False, is_connect
        self._num_bytes = self._num_bytes_seen = 0
        self._silence_s, self._end_s = silence_s, now_s + timeout_s
        self._timer = loop.call_at(now_s + min(silence_s, timeout_s), self._check_time)
        self._reply = loop.create_future()
        self._transport.write(request)
        try:
            return await self._reply
        except BaseException:
            self.close()
            raise
        finally:
            self._timer.cancel()
            self._reply = None
            self._begin_reply()

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on in TLS with the server that this connection has become a tunnel to."""
        transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if transport is None:
            raise BrokenOffError(_CLOSED)
        self.connection_made(transport)

    def close(self) -> None:
        """Close the connection at once."""
        self.usable = False
        self._transport.abort()

    def _check_time(self) -> None:
        """Give up when time is over, or when nothing has come since the last look."""
        now_s = self._loop.time()
        if now_s >= self._end_s or self._num_bytes == self._num_bytes_seen:
            self._fail(TimeoutError())
        else:
            self._num_bytes_seen = self._num_bytes
            next_s = min(now_s + self._silence_s, self._end_s)
            self._timer = self._loop.call_at(next_s, self._check_time)

    def _begin_reply(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._has_body = False

    @property
    def _awaited(self) -> asyncio.Future[Reply] | None:
        return self._reply if self._reply and not self._reply.done() else None

    def _succeed(self) -> None:
        if reply := self._awaited:
            status, body = self._parser.get_status_code(), b"".join(self._pieces)
            reply.set_result(Reply(status, self._headers, body))

    def _fail(self, error: Exception) -> None:
        self.usable = False
        if reply := self._awaited:
            reply.set_exception(error)

    # asyncio calls these:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type
        self._parser = httptools.HttpResponseParser(self)
        self.usable = True

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._awaited:
            self.close()
            return
        self._num_bytes += nbytes
        if self._num_bytes > MAX_BODY_BYTES:
            self._fail(TooLongError(b"".join(self._pieces)))
            return
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BrokenOffError(f"{error}: {bytes(self._buffer[:nbytes][:_SHOWN])!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self._has_body and not _LENGTHS & self._headers.keys():
            self._succeed()  # a reply of unknown length ends so
        self._fail(BrokenOffError(str(exc) if exc else _CLOSED))

    # httptools calls these:

    def on_message_begin(self) -> None:
        self._begin_reply()
        self.usable = False  # not even if it is one too many

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._has_body = True
        if self._is_connect:
            self._succeed()

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Take a reply, unless it announces another (1xx)."""
        if self._parser.get_status_code() >= 200:
            self.usable = self._awaited is not None and self._parser.should_keep_alive()
            self._succeed()
        else:
            self._has_body = False
