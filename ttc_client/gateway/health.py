"""Whether the model servers are up: asked when somebody wants to know, and while searches run."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ttc_client.errors import ServerError, TimedOutError, TransientServerError

_FRESH_S = 2.0
GONE_AFTER_S = 10.0
"""A server that restarts within this time costs no search; its requests are sent again."""


@dataclass(slots=True)
class Health:
    """What `ready` last said; `gone` is set while the servers have been down for long."""

    ready: Callable[[], Awaitable[None]]
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    failure: ServerError | None = None
    _asked_s: float = float("-inf")
    _up_s: float = float("-inf")
    _down_since_s: float | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def check(self) -> None:
        """Raise ServerError unless the servers are up; an answer is good for two seconds."""
        async with self._asking:
            if _now() > self._asked_s + _FRESH_S:
                await self._ask()
        if self.failure:
            raise self.failure

    async def watch(self, needed: Callable[[], bool]) -> None:
        """Go on asking while somebody needs the servers."""
        while True:
            await asyncio.sleep(_FRESH_S)
            if needed():
                async with self._asking:
                    await self._ask()

    async def _ask(self) -> None:
        try:
            await self.ready()
        except ServerError as error:
            self._failed(error)
        else:
            self.failure = self._down_since_s = None
            self._up_s = _now()
            self.gone.clear()
        self._asked_s = _now()

    def _failed(self, error: ServerError) -> None:
        if isinstance(error, TimedOutError) and _now() < self._up_s + GONE_AFTER_S:
            return  # overloaded: new searches are still taken
        self.failure = error
        if isinstance(error, TimedOutError) or not isinstance(error, TransientServerError):
            return  # hanging or refusing: the requests in flight say more
        if self._down_since_s is None:
            self._down_since_s = _now()
        if _now() >= self._down_since_s + GONE_AFTER_S:
            self.gone.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
