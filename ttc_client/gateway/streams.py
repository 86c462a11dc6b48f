"""Server-sent events: chunks, keep-alives between them, and errors after the first byte.

No event has an id, and a keep-alive comment ends with one newline: some SDKs take an empty line
after an id for an event without data, and fail.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web

from ttc_client.together import stopped

KeepAlive = Literal["comment", "chunk", "off"]
KEEP_ALIVE_S = 10.0
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class EventStream:
    """A stream of events to one caller; `begin` sends its head."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers=_HEADERS)
        self._written_s = 0.0
        self.begun = False

    @property
    def response(self) -> web.StreamResponse:
        """What a handler returns."""
        return self._response

    async def begin(self) -> None:
        """Send the status and the headers: from here on, a failure is an event."""
        self.begun = True
        await self._response.prepare(self._request)
        self._written_s = _now()

    async def send(self, data: Any, event: str = "") -> None:
        """Send an event of JSON."""
        named = f"event: {event}\n".encode() if event else b""
        await self.write(named + b"data: " + msgspec.json.encode(data) + b"\n\n")

    async def write(self, raw: bytes) -> None:
        """Send what is encoded already."""
        if not self.begun:
            await self.begin()
        self._written_s = _now()
        await self._response.write(raw)

    async def end(self, last: bytes) -> None:
        """Send the last bytes, and end the stream."""
        if last:
            await self.write(last)
        if not self.begun:
            await self.begin()
        await self._response.write_eof()

    @asynccontextmanager
    async def kept_alive(self, how: KeepAlive, chunk: Any = None) -> AsyncGenerator[None]:
        """Send something every ten seconds in which nothing else was sent."""
        raw = b": keep-alive\n"
        if how == "chunk" and chunk is not None:
            raw = b"data: " + msgspec.json.encode(chunk) + b"\n\n"
        task = asyncio.create_task(self._keep_alive(raw)) if how != "off" else None
        try:
            yield
        finally:
            if task:
                await stopped((task,))

    async def _keep_alive(self, raw: bytes) -> None:
        while True:
            await asyncio.sleep(max(0.0, self._written_s + KEEP_ALIVE_S - _now()))
            if _now() >= self._written_s + KEEP_ALIVE_S:
                await self.write(raw)


def _now() -> float:
    return asyncio.get_running_loop().time()
