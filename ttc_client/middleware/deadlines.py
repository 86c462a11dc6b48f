"""A time limit over several attempts, whose clock stands still while we wait for ourselves."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class _Clock:
    """A time limit, how many wait for us within it, and what was left when the first began."""

    timeout: asyncio.Timeout
    num_waiting: int = 0
    left_s: float = 0.0


_clock: ContextVar[_Clock | None] = ContextVar("clock", default=None)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncGenerator[asyncio.Timeout]:
    """Raise TimeoutError from the block unless it ends within so many seconds."""
    async with asyncio.timeout(seconds) as timeout:
        outer = _clock.set(_Clock(timeout))
        try:
            yield timeout
        finally:
            _clock.reset(outer)


@contextmanager
def clock_stopped() -> Generator[None]:
    """Keep the time that this block takes from counting towards the deadline around it.

    Of several such blocks at once, the clock goes on when the last one ends.
    """
    clock = _clock.get()
    if clock is None or clock.timeout.expired():
        yield
        return
    now = asyncio.get_running_loop().time
    if clock.num_waiting == 0:
        clock.left_s = (clock.timeout.when() or now()) - now()
        clock.timeout.reschedule(None)
    clock.num_waiting += 1
    try:
        yield
    finally:
        clock.num_waiting -= 1
        if clock.num_waiting == 0 and not clock.timeout.expired():
            clock.timeout.reschedule(now() + clock.left_s)
