"""Bound what a client can take of the server before its request is read, key or no key.

Headers are bounded in size and time, and so are what surrounds a body and the requests that come
before they can be answered; where too many connections are open, the one makes room that has waited
longest for its next request to arrive whole. Knows nothing of what requests hold.
"""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_OVERHEAD_BYTES = 64 << 10
"""Of a request besides its body: its line, headers, trailers and the lengths of its chunks."""

HEAD_TIMEOUT_S = 10.0
MAX_PIPELINED = 32
"""Requests taken from a connection while it waits for an earlier answer; clients send none."""

_RESERVED_FILES = 64


class GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with bounds; `max_connections` is set by `guarded`."""

    max_connections = 1000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._overhead = 0
        self._in_head = True
        self._idle_since: float | None = self.loop.time()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and close the one idle longest where there are too many."""
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > self.max_connections:
            idle = [c for c in self.connections if c is not self and c._idle_since is not None]
            victim = min(idle, key=lambda c: c._idle_since, default=self)
            victim.transport.abort()
            self.connections.discard(victim)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse a request with too much around its body."""
        if self._in_head and self._deadline is None:
            self._expect_head()
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > MAX_OVERHEAD_BYTES and not self.transport.is_closing():
            if self._in_head:
                self.send_400_response("Too much before the body of a request.")
            else:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """Begin the request; give up a connection that sends them faster than it reads."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
        if self.transport.is_closing():
            return
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, whose size is the application's business."""
        self._overhead -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request; while one is worked on, its connection is not idle."""
        self._overhead = 0
        self._in_head = True
        self._idle_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Count the connection as idle from now on."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._in_head and not self.transport.is_closing():
            self.transport.abort()


def guarded(max_connections: int) -> type[GuardedProtocol]:
    """Return the protocol with at most that many connections, fewer where files are limited."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + _RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != resource.RLIM_INFINITY:
        max_connections = min(max_connections, max(1, soft - _RESERVED_FILES))
    return type("Guarded", (GuardedProtocol,), {"max_connections": max_connections})
