"""Open a connection along a route: look hosts up, connect, pass a proxy, start TLS."""

import asyncio
import socket
import ssl
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from ttc_client.clients.connection import Connection, TooLongError
from ttc_client.clients.routes import Hop, Route
from ttc_client.deadlines import Clock
from ttc_client.errors import ConfigError

CONNECT_TIMEOUT_S = 10.0

_ADDRESSES_KEPT_S = 10.0
"""A thousand connections that open at once look their host up once."""
_NEXT_ADDRESS_S = 0.25
"""Delay before a host's next address is tried as well (RFC 8305)."""
_READ_BYTES = 1 << 18


class ConnectTimeoutError(TimeoutError):
    """The server, or the `proxy` before it, accepted no connection in time."""

    def __init__(self, proxy: str) -> None:
        super().__init__()
        self.proxy = proxy


class UnreachableError(ConnectionError):
    """The server accepted no connection."""


class ProxyError(Exception):
    """The `proxy` accepted no connection, or opened no tunnel; `status` is that of its answer."""

    def __init__(self, proxy: str, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.proxy = proxy
        self.status = status


class HandshakeError(Exception):
    """Client and server found no way to speak TLS; `reason` is OpenSSL's name for it."""

    def __init__(self, error: ssl.SSLError) -> None:
        super().__init__(str(error))
        self.reason = error.reason or ""


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the system's CAs and those in a file.

    SSL_CERT_FILE and SSL_CERT_DIR name the system's CAs, as everywhere with OpenSSL. Raises
    ConfigError for a file without certificates.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigError(
                f"ca_bundle is {ca_bundle}: it must be a file of certificates in PEM format "
                f"({getattr(error, 'strerror', None) or error})"
            ) from error
    return context


class Opener:
    """Open connections, which all read into one buffer and share a clock."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._addresses: dict[Hop, tuple[float, list[Any]]] = {}
        self._looking_up: defaultdict[Hop, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._clock = Clock()
        self._loop = asyncio.get_running_loop()

    async def open(self, route: Route) -> Connection:
        """Open a connection to a server, or to the proxy before it.

        Raises ConnectTimeoutError, UnreachableError, ProxyError, HandshakeError and
        ssl.CertificateError.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                with _our_errors(route.proxy):
                    connection = await self._connect(route.first)
                if route.behind:
                    await self._tunnel(connection, route, route.behind)
        except TimeoutError as error:
            raise ConnectTimeoutError(route.proxy) from error
        return connection

    async def _connect(self, hop: Hop) -> Connection:
        addresses = await self._look_up(hop)
        sock = await _first_to_accept(addresses)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": hop.host} if hop.tls else {}
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._buffer, self._clock), sock=sock, **tls
        )
        return connection

    async def _look_up(self, hop: Hop) -> list[Any]:
        async with self._looking_up[hop]:  # one per host: a slow look-up blocks only itself
            until_s, addresses = self._addresses.get(hop, (0.0, []))
            if self._loop.time() >= until_s:
                addresses = await _addresses(hop)
                self._addresses[hop] = self._loop.time() + _ADDRESSES_KEPT_S, addresses
            return addresses

    async def _tunnel(self, connection: Connection, route: Route, behind: Hop) -> None:
        """Have the proxy connect to the server behind it, and start TLS with that server."""
        request, wait_s = route.connect.encode(), CONNECT_TIMEOUT_S
        try:
            with _our_errors(route.proxy):
                reply = await connection.send(request, wait_s, wait_s, is_connect=True)
            if not 200 <= reply.status < 300:
                raise ProxyError(route.proxy, f"it answered {reply.status}", reply.status)
            with _our_errors(proxy=""):
                await connection.start_tls(self._tls, behind.host)
        except BaseException:
            connection.close()
            raise


@contextmanager
def _our_errors(proxy: str) -> Generator[None]:
    """Raise what fails while a server, or the proxy before it, is spoken to as one of ours."""
    try:
        yield
    except (TimeoutError, ssl.CertificateError):
        raise
    except ssl.SSLError as error:
        raise HandshakeError(error) from error
    except (OSError, TooLongError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it closed the connection"
        raise (ProxyError(proxy, reason) if proxy else UnreachableError(reason)) from error


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
