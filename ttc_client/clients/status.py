"""What a server says of itself: version, cache counters, how long it keeps idle connections."""

import asyncio
import re
from contextlib import suppress
from dataclasses import replace

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError, RequestError

_VERSION_PATHS = ("/version", "/info")
"""The first of vLLM and SGLang, the second of TGI and TEI."""

_HITS = re.compile(r"^vllm:prefix_cache_hits_total(?:\{.*\})? (\S+)$", re.MULTILINE)
_SPARE_S = 60.0


class _Version(msgspec.Struct):
    version: str


async def version(server: Server) -> str | None:
    """Return a server's version, None where it gives none; raises TransientServerError."""
    for path in _VERSION_PATHS:
        try:
            return (await server.get(path, _Version)).version
        except (RequestError, ProtocolError):
            continue
    return None


async def prefix_cache_hits(server: Server) -> float | None:
    """Return how many prompt tokens vLLM has found in its cache so far; None if not counted.

    Raises TransientServerError.
    """
    try:
        counts = _HITS.findall(await server.get_text("/metrics"))
    except RequestError:
        return None
    return sum(map(float, counts)) if counts else None


async def survives_idling(server: Server, idle_s: float) -> bool:
    """Return whether the server keeps a connection open that is idle for `idle_s`.

    Raises ServerError.
    """
    async with Session(server.session.tls, idle_s + _SPARE_S) as session:
        alone = replace(server, session=session)
        for pause_s in (idle_s, 0):
            with suppress(RequestError):  # any answer shows that the connection works
                await alone.get_text("/health")
            await asyncio.sleep(pause_s)
    return session.num_opened == 1
