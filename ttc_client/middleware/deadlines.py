"""A time limit over several attempts, whose clock stands still while we wait for ourselves."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

_deadline: ContextVar[asyncio.Timeout | None] = ContextVar("deadline", default=None)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncGenerator[asyncio.Timeout]:
    """Raise TimeoutError from the block unless it ends within so many seconds."""
    async with asyncio.timeout(seconds) as timeout:
        outer = _deadline.set(timeout)
        try:
            yield timeout
        finally:
            _deadline.reset(outer)


@contextmanager
def clock_stopped() -> Generator[None]:
    """Keep the time that this block takes from counting towards the deadline around it."""
    timeout = _deadline.get()
    end = timeout and not timeout.expired() and timeout.when()
    if not (timeout and end):
        yield
        return
    now = asyncio.get_running_loop().time
    left = end - now()
    timeout.reschedule(None)
    try:
        yield
    finally:
        timeout.reschedule(now() + left)
