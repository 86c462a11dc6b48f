"""The pool of connections that all servers of a process share. POSIX only."""

import asyncio
import resource
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from ttc_client.clients.connection import Connection, Incoming, Reply
from ttc_client.clients.routes import Hop, Route
from ttc_client.errors import ConfigError

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection."""

_ADDRESSES_KEPT_S = 10.0
"""A thousand connections that open at once look their host up once."""
_NEXT_ADDRESS_S = 0.25
"""Delay before a host's next address is tried as well (RFC 8305)."""
_READ_BYTES = 1 << 18
_MOST_FILES = 1 << 14


class ConnectTimeoutError(TimeoutError):
    """The server accepted no connection in time."""


class UnreachableError(ConnectionError):
    """The server accepted no connection."""


class ProxyRefusedError(Exception):
    """The proxy opened no tunnel; `status` is that of its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")
        self.status = status


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the system's CAs and those in a file.

    SSL_CERT_FILE and SSL_CERT_DIR name the system's CAs, as everywhere with OpenSSL. Raises
    ConfigError for a file without certificates.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"ca_bundle is {ca_bundle}: it must be a file of certificates in PEM format "
                f"({error.strerror or error})"
            ) from error
    return context


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
        self._keep_alive_s = keep_alive_s
        self._idle: defaultdict[Route, deque[Connection]] = defaultdict(deque)
        self._addresses: dict[Hop, tuple[float, list[Any]]] = {}
        self._looking_up: defaultdict[Hop, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._loop = asyncio.get_running_loop()
        self._clean_up: asyncio.TimerHandle | None = None
        _raise_file_limit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._clean_up:
            self._clean_up.cancel()
        for connection in chain.from_iterable(self._idle.values()):
            connection.close()
        await asyncio.sleep(0)  # lets the sockets close

    async def exchange(
        self, route: Route, request: bytes, timeout_s: float, silence_s: float
    ) -> Reply:
        """Send a request and return its reply.

        Raises ConnectTimeoutError, UnreachableError, ProxyRefusedError, ssl.CertificateError, and
        what `Connection.exchange` raises.
        """
        idle = self._idle[route]
        connection = self._reusable(idle) or await self._connect(route)
        reply = await connection.exchange(request, timeout_s, silence_s)
        self._put_back(idle, connection)
        return reply

    @asynccontextmanager
    async def stream(
        self, route: Route, request: bytes, timeout_s: float, silence_s: float
    ) -> AsyncGenerator[Incoming]:
        """Send a request and give its reply, whose body is read by iterating over it.

        Leaving the block before the body has ended closes the connection at once. Raises what
        `exchange` raises, in part while the body is read.
        """
        idle = self._idle[route]
        connection = self._reusable(idle) or await self._connect(route)
        reply = await connection.stream(request, timeout_s, silence_s)
        try:
            yield reply
        finally:
            self._put_back(idle, connection)

    def _reusable(self, idle: deque[Connection]) -> Connection | None:
        """Take the connection that was used last: it is the least likely to be closed by now."""
        while idle:
            connection = idle.pop()
            if connection.usable and not self._is_old(connection):
                return connection
            connection.close()
        return None

    def _put_back(self, idle: deque[Connection], connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it cannot carry one."""
        if not connection.usable:
            connection.close()
            return
        connection.idle_since_s = self._loop.time()
        idle.append(connection)
        if self._clean_up is None:
            self._clean_up = self._later()

    def _is_old(self, connection: Connection) -> bool:
        return self._loop.time() - connection.idle_since_s >= self._keep_alive_s

    def _close_old(self) -> None:
        """Close connections that were idle for too long, and check again while others are idle."""
        for idle in self._idle.values():
            while idle and self._is_old(idle[0]):
                idle.popleft().close()
        self._clean_up = self._later() if any(self._idle.values()) else None

    def _later(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._keep_alive_s, self._close_old)

    async def _connect(self, route: Route) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._open(route.first)
                if route.behind:
                    await self._tunnel(connection, route.connect, route.behind)
        except TimeoutError as error:
            raise ConnectTimeoutError from error
        except ssl.CertificateError:
            raise
        except OSError as error:
            raise UnreachableError(error.strerror or str(error)) from error
        self.num_opened += 1
        return connection

    async def _open(self, hop: Hop) -> Connection:
        addresses = await self._look_up(hop)
        sock = await _first_to_accept(addresses)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tls: dict[str, Any] = {"ssl": self.tls, "server_hostname": hop.host} if hop.tls else {}
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._buffer), sock=sock, **tls
        )
        return connection

    async def _look_up(self, hop: Hop) -> list[Any]:
        async with self._looking_up[hop]:  # one per host: a slow look-up blocks only itself
            until_s, addresses = self._addresses.get(hop, (0.0, []))
            if self._loop.time() >= until_s:
                addresses = await _addresses(hop)
                self._addresses[hop] = self._loop.time() + _ADDRESSES_KEPT_S, addresses
            return addresses

    async def _tunnel(self, connection: Connection, request: str, behind: Hop) -> None:
        """Have a proxy connect to the server behind it, and start TLS with that server."""
        wait_s = CONNECT_TIMEOUT_S
        try:
            reply = await connection.exchange(request.encode(), wait_s, wait_s, is_connect=True)
            if not 200 <= reply.status < 300:
                raise ProxyRefusedError(reply.status)
            await connection.start_tls(self.tls, behind.host)
        except BaseException:
            connection.close()
            raise


async def _first_to_accept(addresses: list[Any]) -> socket.socket:
    task = asyncio.current_task()
    num_cancelled = task.cancelling() if task else 0
    sock = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S)
    if task and task.cancelling() > num_cancelled:  # `start_connection` can swallow a cancellation
        sock.close()
        raise asyncio.CancelledError
    return sock


async def _addresses(hop: Hop) -> list[Any]:
    find = partial(socket.getaddrinfo, hop.host, hop.port, type=socket.SOCK_STREAM)
    try:
        return find(flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name: looking it up blocks, so it takes a thread
        return await asyncio.to_thread(find)


def _raise_file_limit() -> None:
    """Raise the soft limit on open files to `_MOST_FILES`, or to the hard limit if that is lower.

    A process starts with 256 or 1024, which a large search exceeds.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has another, lower limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
