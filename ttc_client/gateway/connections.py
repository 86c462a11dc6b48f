"""Close connections on which no whole request comes: the server waits for its head for ever."""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from aiohttp import web


class Connections:
    """Which connections answer a request, and since when the others do not."""

    def __init__(self) -> None:
        self._busy = set[web.RequestHandler]()
        self._idle_since_s = dict[web.RequestHandler, float]()

    @contextmanager
    def during(self, connection: web.RequestHandler) -> Generator[None]:
        """Keep a connection while one of its requests is answered."""
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)
            self._idle_since_s[connection] = _now()

    def close_idle(self, connections: Iterable[web.RequestHandler], after_s: float) -> None:
        """Close those that have answered nothing for so long, or since they were first seen."""
        now_s, before = _now(), self._idle_since_s
        self._idle_since_s = {one: before.get(one, now_s) for one in connections}
        for connection, since_s in self._idle_since_s.items():
            if connection not in self._busy and now_s - since_s >= after_s:
                connection.force_close()

    async def watch(self, server: web.Server, after_s: float) -> None:
        """Go on closing them."""
        while True:
            await asyncio.sleep(after_s / 4)
            self.close_idle(server.connections, after_s)


def _now() -> float:
    return asyncio.get_running_loop().time()
