"""The pool of connections that all servers of a process share. POSIX only."""

import asyncio
import logging
import resource
import ssl
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from ttc_client.clients.connection import BrokenOffError, Connection, Reply
from ttc_client.clients.opening import Opener, tls_context
from ttc_client.clients.routes import Route

KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection."""

_MOST_FILES = 1 << 14

_MOST_COPIES = 3
"""One may be a coincidence, where a server neither numbers its replies nor keeps to a seed."""
_DOUBTED = (200, 404)
"""Statuses of replies that may be copies; other refusals are often alike."""

_REPEATS = "it sends replies to other requests, so each request gets a new connection"

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pool:
    """The idle connections of a route.

    Once its server has sent replies that were not asked for, none is used again: another one could
    be taken for the reply to the next request. `alike` holds the statuses with which it is known
    to answer different requests alike.
    """

    route: Route
    idle: deque[Connection] = field(default_factory=deque[Connection])
    server_repeats: bool = False
    alike: set[int] = field(default_factory=set[int])
    num_copies: int = 0


class Session:
    """A pool of connections by route; close it with `async with`.

    There is no limit on their number: the limits on requests are set elsewhere. An idle
    connection is closed after `keep_alive_s`. `num_opened` counts the connections ever opened.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self.num_opened = 0
        self.tls = tls or tls_context(None)
        self._opener = Opener(self.tls)
        self._keep_alive_s = keep_alive_s
        self._pools: dict[Route, _Pool] = {}
        self._loop = asyncio.get_running_loop()
        self._clean_up: asyncio.TimerHandle | None = None
        _raise_file_limit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._clean_up:
            self._clean_up.cancel()
        for pool in self._pools.values():
            self._close(pool.idle)
        await asyncio.sleep(0)  # lets the sockets close

    async def exchange(
        self, route: Route, request: bytes, timeout_s: float, silence_s: float
    ) -> Reply:
        """Send a request and return its reply; raises what `Opener.open` and `Connection.send` do.

        It is sent again, at once, where the server had closed the idle connection meanwhile, and
        where the reply is a copy of an earlier one.
        """
        pool = self._pools.get(route) or self._pool(route)
        connection, reply = await self._sent(pool, request, timeout_s, silence_s)
        is_doubted = reply.status in _DOUBTED and reply.status not in pool.alike
        if is_doubted and connection.has_said(request, reply):
            connection.close()
            return await self._asked_again(pool, request, timeout_s, silence_s, reply)
        self._put_back(pool, connection)
        return reply

    async def exchange_anew(
        self, route: Route, request: bytes, timeout_s: float, silence_s: float
    ) -> Reply:
        """Do the same on a new connection."""
        pool = self._pool(route)
        connection, reply = await self._sent_anew(pool, request, timeout_s, silence_s)
        connection.has_said(request, reply)
        self._put_back(pool, connection)
        return reply

    @asynccontextmanager
    async def stream(
        self, route: Route, request: bytes, timeout_s: float, silence_s: float
    ) -> AsyncGenerator[Reply]:
        """Send a request and give its reply, whose body is read by iterating over it.

        Leaving the block before the body has ended closes the connection at once. Raises what
        `exchange` raises, in part while the body is read.
        """
        pool = self._pool(route)
        connection, reply = await self._sent(pool, request, timeout_s, silence_s, streamed=True)
        try:
            yield reply
        finally:
            self._put_back(pool, connection)

    async def _asked_again(
        self, pool: _Pool, request: bytes, timeout_s: float, silence_s: float, copy: Reply
    ) -> Reply:
        """Return the reply on a new connection, which shows whether the copy was a late one."""
        reply = await self.exchange_anew(pool.route, request, timeout_s, silence_s)
        if reply.kept == copy.kept:
            pool.alike.add(copy.status)
        else:
            pool.num_copies += 1
            if pool.num_copies >= _MOST_COPIES:
                self.distrust(pool.route)
        return reply

    def distrust(self, route: Route) -> None:
        """Use no connection of a route twice from now on."""
        pool = self._pool(route)
        if not pool.server_repeats:
            pool.server_repeats = True
            server = route.behind or route.first
            _LOG.warning("%s: %s", server.authority, _REPEATS)
        self._close(pool.idle)

    def _pool(self, route: Route) -> _Pool:
        return self._pools.setdefault(route, _Pool(route))

    async def _sent(
        self,
        pool: _Pool,
        request: bytes,
        timeout_s: float,
        silence_s: float,
        *,
        streamed: bool = False,
    ) -> tuple[Connection, Reply]:
        if connection := self._reusable(pool):
            try:
                reply = await connection.send(request, timeout_s, silence_s, is_streamed=streamed)
                reply.is_first = False
                return connection, reply
            except BrokenOffError:
                if connection.num_bytes:
                    raise
        return await self._sent_anew(pool, request, timeout_s, silence_s, streamed=streamed)

    async def _sent_anew(
        self,
        pool: _Pool,
        request: bytes,
        timeout_s: float,
        silence_s: float,
        *,
        streamed: bool = False,
    ) -> tuple[Connection, Reply]:
        connection = await self._opener.open(pool.route)
        self.num_opened += 1
        reply = await connection.send(request, timeout_s, silence_s, is_streamed=streamed)
        return connection, reply

    def _reusable(self, pool: _Pool) -> Connection | None:
        """Take the connection that was used last: it is the least likely to be closed by now."""
        while pool.idle:
            connection = pool.idle.pop()
            is_usable = connection.usable and not self._is_old(connection)
            if is_usable and not connection.has_unread():
                return connection
            self._drop(pool, connection)
        return None

    def _put_back(self, pool: _Pool, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it cannot carry one."""
        if pool.server_repeats or not connection.usable:
            self._drop(pool, connection)
            return
        connection.idle_since_s = self._loop.time()
        pool.idle.append(connection)
        if self._clean_up is None:
            self._clean_up = self._later()

    def _drop(self, pool: _Pool, connection: Connection) -> None:
        connection.close()
        if connection.repeats:
            self.distrust(pool.route)

    def _close(self, idle: deque[Connection]) -> None:
        while idle:
            idle.pop().close()

    def _is_old(self, connection: Connection) -> bool:
        return self._loop.time() - connection.idle_since_s >= self._keep_alive_s

    def _close_old(self) -> None:
        """Close connections that were idle for too long, and check again while others are idle."""
        for pool in self._pools.values():
            while pool.idle and self._is_old(pool.idle[0]):
                self._drop(pool, pool.idle.popleft())
        are_idle = any(pool.idle for pool in self._pools.values())
        self._clean_up = self._later() if are_idle else None

    def _later(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._keep_alive_s, self._close_old)


def _raise_file_limit() -> None:
    """Raise the soft limit on open files to `_MOST_FILES`, or to the hard limit if that is lower.

    A process starts with 256 or 1024, which a large search exceeds.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has another, lower limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
