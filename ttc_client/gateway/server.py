"""Open the client, listen, and end well.

Searches may go on for a while after SIGTERM; SIGHUP reads profiles and keys anew.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ttc_client.errors import ConfigError
from ttc_client.gateway.admission import Desk
from ttc_client.gateway.app import MAX_BODY_BYTES, Gateway, check_served
from ttc_client.gateway.around import add_headers
from ttc_client.gateway.connections import Connections
from ttc_client.gateway.health import Health
from ttc_client.gateway.kept import KeptSearches
from ttc_client.gateway.keys import check_host, read_keys
from ttc_client.gateway.metrics import Metrics
from ttc_client.gateway.profiles import read_profiles
from ttc_client.gateway.searches import LOG, Searches
from ttc_client.gateway.streams import KeepAlive
from ttc_client.runtime.client import Client
from ttc_client.settings.config import Settings
from ttc_client.together import stopped

_HTTP_LOG = LOG.getChild("http")
_BACKLOG = 2048
_IDLE_S = 75.0
_MOST_HEADER_BYTES = 32 << 10


def is_no_malformed_request(record: logging.LogRecord) -> bool:
    """Whether a record is no report of what is not HTTP: that repeats headers, keys among them."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_HTTP_LOG.addFilter(is_no_malformed_request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How to serve: what `ttc serve` is told beside the settings of its searches.

    `keys` and `profiles_file` are read again on SIGHUP. The page's searches are kept in `out`, the
    last ones in memory if it is None. `grace_s` is how long searches may go on
    after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = 8100
    profiles: tuple[str, ...] = ()
    profiles_file: Path | None = None
    keys: Path | None = None
    keys_variable: str = field(default="", repr=False)
    origins: tuple[str, ...] = ()
    max_searches: int = 64
    max_queue: int = 256
    deadline_s: float | None = None
    out: Path | None = None
    keep_alive: KeepAlive = "comment"
    grace_s: float = 60.0
    max_body_bytes: int = MAX_BODY_BYTES


@asynccontextmanager
async def gateway_for(serving: Serving, settings: Settings) -> AsyncGenerator[Gateway]:
    """Open the servers, and give the gateway to them; raises ConfigError, ServerError."""
    profiles = read_profiles(serving.profiles, serving.profiles_file, settings)
    keys = read_keys(serving.keys, serving.keys_variable)
    check_host(serving.host, keys)
    desk = Desk(serving.max_searches, serving.max_queue)
    metrics = Metrics(
        {
            "ttc_searches_in_flight": lambda: desk.running,
            "ttc_searches_waiting": lambda: desk.waiting,
        }
    )
    async with Client(settings.servers) as client:
        health = Health(client.ready)
        searches = Searches(client, profiles, desk, health, metrics)
        gateway = Gateway(
            searches,
            keys,
            serving.origins,
            KeptSearches(serving.out),
            serving.keep_alive,
            serving.deadline_s,
            serving.max_body_bytes,
        )
        check_served(gateway)
        watch = asyncio.create_task(health.watch(lambda: desk.running > 0))
        try:
            yield gateway
        finally:
            await stopped((watch,))


@asynccontextmanager
async def listening(gateway: Gateway, serving: Serving) -> AsyncGenerator[str]:
    """Listen, and give the URL; on leaving, let searches end for a while.

    Raises ConfigError for an address that cannot be listened at.
    """
    app = gateway.application()
    app.on_response_prepare.append(add_headers)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        logger=_HTTP_LOG,
        keepalive_timeout=_IDLE_S,
        shutdown_timeout=serving.grace_s,
        max_field_size=_MOST_HEADER_BYTES,
        max_line_size=_MOST_HEADER_BYTES,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, serving.host, serving.port, backlog=_BACKLOG).start()
        except OSError as error:
            where = f"{serving.host}:{serving.port}"
            raise ConfigError(f"cannot listen at {where}: {error.strerror or error}") from error
        host = f"[{serving.host}]" if ":" in serving.host else serving.host
        async with closing_idle(gateway.connections, runner):
            yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        gateway.searches.desk.closed = True
        await runner.cleanup()


@asynccontextmanager
async def closing_idle(connections: Connections, runner: web.AppRunner) -> AsyncGenerator[None]:
    """Close connections on which nothing whole comes, until the block ends."""
    if runner.server is None:
        raise ValueError("the runner is not set up")
    watch = asyncio.create_task(connections.watch(runner.server, _IDLE_S))
    try:
        yield
    finally:
        await stopped((watch,))


async def serve(serving: Serving, settings: Settings, say: Callable[[str, Gateway], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once. `say` is told the URL."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    current = asyncio.current_task()

    def stop() -> None:
        if stopping.is_set() and current:
            current.cancel()
        stopping.set()

    async with gateway_for(serving, settings) as gateway:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: reload(gateway, serving, settings))
        async with listening(gateway, serving) as url:
            say(url, gateway)
            await stopping.wait()


def reload(gateway: Gateway, serving: Serving, settings: Settings) -> None:
    """Read profiles and keys anew; whatever is wrong with them leaves the old ones in force."""
    searches, before = gateway.searches, gateway.searches.profiles
    try:
        searches.profiles = read_profiles(serving.profiles, serving.profiles_file, settings)
        check_served(gateway)
        keys = read_keys(serving.keys, serving.keys_variable)
        check_host(serving.host, keys)
    except ConfigError as error:
        searches.profiles = before
        LOG.warning("not reloaded: %s", error)
    else:
        gateway.keys = keys
        LOG.warning("reloaded: %d profiles, %d keys", len(searches.profiles), len(keys))
