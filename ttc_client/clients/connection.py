"""One connection to a server over HTTP/1.1, which carries one exchange at a time.

A request leaves in one write. Its reply comes back whole, or as a stream. asyncio carries the
bytes and TLS, httptools (the parser of Node.js) reads them. Why this is not a general client:
.github/decisions/own-connection.md. Knows nothing of addresses or JSON.
"""

import asyncio
import select
import ssl
from collections import deque
from collections.abc import AsyncGenerator
from typing import cast

import httptools

from ttc_client.deadlines import Clock

MAX_BODY_BYTES = 1 << 26
"""A larger reply is refused before it fills the memory: as received, and as decompressed."""

TURN_BYTES = 1 << 14
"""Bytes of a stream that are handed on before other tasks get their turn."""

_MAX_HEAD_BYTES = 1 << 16
"""The same for what comes before a reply's body: each header costs far more than its bytes."""
_NUM_EARLIER = 4
"""Exchanges back that a copy of a reply is looked for."""
_SHOWN = 1 << 13
"""Bytes kept of a reply that is not HTTP; long enough to redact whole keys."""
_CLOSED = "it closed the connection"
_LENGTHS = {b"content-length", b"transfer-encoding"}


class BrokenOffError(ConnectionError):
    """The connection ended, or sent something other than HTTP, before the reply was complete."""


class TooLongError(Exception):
    """A reply has more than `limit` bytes in some `part`; `body` is the beginning of its body."""

    def __init__(self, limit: int, body: bytes | bytearray = b"", part: str = "") -> None:
        super().__init__(f"more than {limit} bytes{part}")
        self.body = bytes(body[:_SHOWN])


class Reply:
    """What a server answers; the whole of it, or a stream that is still being received.

    Iterate over a stream for its body. What is not yet read is kept, `MAX_BODY_BYTES` at most.
    Iterating raises what `Connection.send` raises, after what came before. `is_first` says that
    the connection was new, so that it cannot be the reply to an earlier request.
    """

    status = 0
    is_first = True
    raw_headers: dict[bytes, bytes]
    is_over = False
    error: Exception | None = None

    def __init__(self, waiter: asyncio.Future[None], *, is_streamed: bool) -> None:
        self.is_streamed = is_streamed
        self.kept = bytearray()
        self.waiter = waiter
        """Done when there is more of a streamed reply, or when the whole has ended."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers, their names in lower case."""
        return {k.decode("latin-1"): v.decode("latin-1") for k, v in self.raw_headers.items()}

    @property
    def body(self) -> bytes:
        """What has come of the body and is not yet read."""
        return bytes(self.kept)

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        while self.kept or not self.is_over:
            piece = bytes(self.kept[:TURN_BYTES])
            del self.kept[:TURN_BYTES]
            if piece:
                yield piece
            if self.kept:
                await asyncio.sleep(0)
            elif not self.is_over:
                self.waiter = asyncio.get_running_loop().create_future()
                await self.waiter
        if self.error is not None:
            raise self.error

    def wake(self) -> None:
        """Let whoever waits go on."""
        if not self.waiter.done():
            self.waiter.set_result(None)


class Connection(asyncio.BufferedProtocol):
    """An open connection; `usable` says whether it may carry another exchange.

    An exchange that fails or is cancelled closes the connection, which tells the server to stop.
    `num_bytes` counts what came of the last reply, and `repeats` says whether another came that
    was not asked for. The clock checks the time-outs at `end_s`. `buffer` is what the connection
    reads into. All connections may share one, because what is read is parsed at once.
    """

    end_s = 0.0
    usable = False
    repeats = False
    idle_since_s = 0.0
    num_bytes = 0
    _num_bytes_seen: int
    _transport: asyncio.Transport
    _parser: httptools.HttpResponseParser
    _reply: Reply | None = None
    _headers: dict[bytes, bytes]
    _has_body = False

    def __init__(self, buffer: memoryview, clock: Clock) -> None:
        self._buffer, self._clock = buffer, clock
        self._loop = asyncio.get_running_loop()
        self._poll: select.poll | None = None
        self._earlier = deque[tuple[bytes, bytearray]](maxlen=_NUM_EARLIER)

    def has_unread(self) -> bool:
        """Return whether something has come since the last reply: bytes, or the end."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return bool(self._poll.poll(0))

    def has_said(self, request: bytes, reply: Reply) -> bool:
        """Return whether a reply is a copy of an earlier one to another request; remember it."""
        for asked, said in self._earlier:
            if said == reply.kept and asked != request:
                return True
        self._earlier.append((request, reply.kept))
        return False

    async def send(
        self,
        request: bytes,
        timeout_s: float,
        silence_s: float,
        *,
        is_streamed: bool = False,
        is_connect: bool = False,
    ) -> Reply:
        """Send a request; return its reply, or a stream of it once its headers are there.

        A reply to CONNECT has no body. Close the connection to stop a stream early.

        Raises TimeoutError unless the reply begins within `silence_s`, goes on without such a
        silence, and ends within `timeout_s`. Raises BrokenOffError and TooLongError.
        """
        now_s = self._loop.time()
        self.usable = False
        self.num_bytes = self._num_bytes_seen = 0
        self._is_connect = is_connect
        self._silence_s, self._last_s = silence_s, now_s + timeout_s
        self.end_s = now_s + (silence_s if silence_s < timeout_s else timeout_s)
        self._clock.watch(self)
        waiter = self._loop.create_future()
        self._reply = reply = Reply(waiter, is_streamed=is_streamed)
        self._transport.write(request)
        try:
            await waiter
        except BaseException:
            self.close()
            raise
        if reply.error is not None and not (is_streamed and reply.status):
            raise reply.error  # else after what came before it
        return reply

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Switch to TLS with the server at the other end of a tunnel.

        Raises BrokenOffError, and ssl.SSLError for a failed handshake.
        """
        transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if transport is None:
            raise BrokenOffError(_CLOSED)
        self.connection_made(transport)

    def close(self) -> None:
        """Close the connection at once."""
        self._fail(BrokenOffError("closed by the client"))

    def check(self, now_s: float) -> None:
        """Give up after `timeout_s`, or if nothing has come since the last check."""
        if now_s >= self._last_s or self.num_bytes == self._num_bytes_seen:
            self._fail(TimeoutError())
        else:
            self._num_bytes_seen = self.num_bytes
            self.end_s = min(now_s + self._silence_s, self._last_s)

    def _finish(self, error: Exception | None = None) -> None:
        """End the reply that is being received, if there is one."""
        if reply := self._reply:
            self._reply = None
            self._clock.drop(self)
            reply.is_over, reply.error = True, error
            reply.wake()

    def _fail(self, error: Exception) -> None:
        self.usable = False
        self._finish(error)
        self._transport.abort()

    # asyncio calls these:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's type is another
        self._parser = httptools.HttpResponseParser(self)
        self.usable = True

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        reply = self._reply
        if reply is None:
            self.repeats = _begins_reply(self._buffer[:nbytes])
            self.close()
            return
        self.num_bytes += nbytes
        if self.num_bytes > MAX_BODY_BYTES:
            self._fail(TooLongError(MAX_BODY_BYTES, reply.kept))
            return
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BrokenOffError(f"{error}: {bytes(self._buffer[:nbytes][:_SHOWN])!r}"))
            return
        if not reply.status and self.num_bytes > _MAX_HEAD_BYTES:
            self._fail(TooLongError(_MAX_HEAD_BYTES, part=" of headers"))
        elif reply.is_streamed and reply.kept:
            reply.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self._has_body and not _LENGTHS & self._headers.keys():
            self._finish()  # the end of the connection ends a body without a length
        self.usable = False
        self._finish(BrokenOffError(str(exc) if exc else _CLOSED))

    # httptools calls these:

    def on_message_begin(self) -> None:
        self._headers = {}
        self._has_body = self.usable = False
        self.repeats = self._reply is None  # this one is one too many

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_body:  # else it stands behind the body
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._has_body = status >= 200  # 1xx announces the reply
        if self._has_body and (reply := self._reply):
            reply.status, reply.raw_headers = status, self._headers
            if self._is_connect:
                self._finish()
            elif reply.is_streamed:
                reply.wake()

    def on_body(self, body: bytes) -> None:
        if self._reply is not None:
            self._reply.kept += body

    def on_message_complete(self) -> None:
        if self._has_body:
            self.usable = self._reply is not None and self._parser.should_keep_alive()
            self._has_body = False
            self._finish()


def _begins_reply(unasked: memoryview) -> bool:
    """Whether it is a reply to a request; servers may announce that they close by a 408."""
    return bytes(unasked[:10]).startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
