"""The connections that all servers of a process share: opened as needed, used again, closed."""

import asyncio
import socket
import ssl
import sys
from collections import defaultdict, deque
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from ttc_client.clients.connection import Connection, Reply
from ttc_client.clients.routes import Hop, Route
from ttc_client.errors import ConfigError

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection."""

_ADDRESSES_KEPT_S = 10.0
"""So that a thousand connections look a host up once."""
_NEXT_ADDRESS_S = 0.25
"""After which a host's next address is tried beside one that does not answer (RFC 8305)."""
_READ_BYTES = 1 << 18
_MOST_FILES = 1 << 14


class ConnectTimeoutError(TimeoutError):
    """No connection was accepted in time."""


class UnreachableError(ConnectionError):
    """No connection was accepted."""


class ProxyRefusedError(Exception):
    """The proxy opened no tunnel; `status` is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")
        self.status = status


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return what server certificates are verified with: the system's CAs, and those of a file.

    SSL_CERT_FILE and SSL_CERT_DIR name the system's, as everywhere with OpenSSL.
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
    """The open connections, by the way that they go; close them with `async with`.

    `num_opened` counts those that were ever opened.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self.num_opened = 0
        self._tls = tls or tls_context(None)
        self._keep_alive_s = keep_alive_s
        self._idle: defaultdict[Route, deque[Connection]] = defaultdict(deque)
        self._addresses: dict[Hop, tuple[float, list[Any]]] = {}
        self._looking_up: defaultdict[Hop, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._loop = asyncio.get_running_loop()
        self._clean_up: asyncio.TimerHandle | None = None
        _allow_files()

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
        """Send a request to a server, and return its reply.

        Raises ConnectTimeoutError, UnreachableError, ProxyRefusedError, ssl.CertificateError, and
        what `Connection.exchange` raises.
        """
        connection = self._idle_one(route) or await self._connect(route)
        reply = await connection.exchange(request, timeout_s, silence_s)
        if connection.usable:
            connection.idle_since_s = self._loop.time()
            self._idle[route].append(connection)
            if self._clean_up is None:
                self._clean_up = self._later()
        else:
            connection.close()
        return reply

    def _idle_one(self, route: Route) -> Connection | None:
        """Return the connection used last, as it is the likeliest to be still open."""
        idle = self._idle[route]
        while idle:
            connection = idle.pop()
            if connection.usable and not self._is_old(connection):
                return connection
            connection.close()
        return None

    def _is_old(self, connection: Connection) -> bool:
        return self._loop.time() - connection.idle_since_s >= self._keep_alive_s

    def _close_old(self) -> None:
        """Close what was not needed for a while, and look again while there is more."""
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
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": hop.host} if hop.tls else {}
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._buffer), sock=sock, **tls
        )
        return connection

    async def _look_up(self, hop: Hop) -> list[Any]:
        async with self._looking_up[hop]:  # a name that hangs holds up no other
            until_s, addresses = self._addresses.get(hop, (0.0, []))
            if self._loop.time() >= until_s:
                addresses = await _addresses(hop)
                self._addresses[hop] = self._loop.time() + _ADDRESSES_KEPT_S, addresses
            return addresses

    async def _tunnel(self, connection: Connection, request: str, behind: Hop) -> None:
        """Make a connection to a proxy one to the server behind it."""
        patience_s = CONNECT_TIMEOUT_S
        try:
            reply = await connection.exchange(
                request.encode(), patience_s, patience_s, is_connect=True
            )
            if not 200 <= reply.status < 300:
                raise ProxyRefusedError(reply.status)
            await connection.start_tls(self._tls, behind.host)
        except BaseException:
            connection.close()
            raise


async def _first_to_accept(addresses: list[Any]) -> socket.socket:
    task = asyncio.current_task()
    num_cancelled = task.cancelling() if task else 0
    sock = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S)
    if task and task.cancelling() > num_cancelled:  # which it loses where one address is slow
        sock.close()
        raise asyncio.CancelledError
    return sock


async def _addresses(hop: Hop) -> list[Any]:
    find = partial(socket.getaddrinfo, hop.host, hop.port, type=socket.SOCK_STREAM)
    try:
        return find(flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name, and so a question that takes a thread
        return await asyncio.to_thread(find)


def _allow_files() -> None:
    """Raise the soft limit on open files as far as may be needed and the hard one lets it.

    Many connections may need more than the 256 or 1024 that a process has unless it asks.
    """
    if sys.platform == "win32":  # knows no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a lower one besides
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
