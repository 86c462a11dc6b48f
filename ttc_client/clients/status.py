"""What a server says of itself beside its answers: version, cache counters, idle connections."""

import asyncio
import re
from contextlib import suppress
from dataclasses import replace

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.session import Session, tls_context
from ttc_client.errors import ProtocolError, RequestError

_VERSION_PATHS = ("/version", "/info")
"""Of vLLM and SGLang, and of TGI and TEI."""

_HITS = re.compile(r"^vllm:prefix_cache_hits_total(?:\{.*\})? (\S+)$", re.MULTILINE)
_PATIENCE_S = 60.0


class _Version(msgspec.Struct):
    version: str


async def version(server: Server) -> str | None:
    """Return the version that a server gives, None where it gives none."""
    for path in _VERSION_PATHS:
        try:
            return (await server.get(path, _Version)).version
        except (RequestError, ProtocolError):
            continue
    return None


async def prefix_cache_hits(server: Server) -> float | None:
    """Return how many prompt tokens vLLM has found in its cache so far; None if not counted."""
    try:
        counts = _HITS.findall(await server.get_text("/metrics"))
    except RequestError:
        return None
    return sum(map(float, counts)) if counts else None


async def survives_idling(server: Server, idle_s: float) -> bool:
    """Return whether the server keeps a connection open that is idle for that long."""
    async with Session(tls_context(server.ca_bundle), idle_s + _PATIENCE_S) as session:
        alone = replace(server, session=session)
        for pause_s in (idle_s, 0):
            with suppress(RequestError):  # an answer is an answer
                await alone.get_text("/health")
            await asyncio.sleep(pause_s)
    return session.num_opened == 1
