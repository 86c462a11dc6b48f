"""A time limit over several attempts, whose clock stands still while we wait for ourselves."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from ttc_client.errors import ServerError


class Deadline:
    """Raise TimeoutError from the block unless it ends within so many seconds.

    `reason` is why it waits for servers, where it does.
    """

    reason: ServerError | None = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.Timeout(asyncio.get_running_loop().time() + seconds)
        self._num_waiting = 0
        self._left_s = 0.0

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._outer = _deadline.set(self)
        return self

    async def __aexit__(self, *error: Any) -> None:
        _deadline.reset(self._outer)
        await self._timeout.__aexit__(*error)

    @property
    def left_s(self) -> float:
        """Seconds left, while the clock runs."""
        end_s = self._timeout.when()
        return float("inf") if end_s is None else end_s - asyncio.get_running_loop().time()

    @property
    def is_half_over(self) -> bool:
        """Whether less than half of the time is left."""
        return self.left_s < self._seconds / 2

    def stop(self) -> None:
        """Stop the clock until it goes on as often as it was stopped."""
        if self._num_waiting == 0 and not self._timeout.expired():
            self._left_s = self.left_s
            self._timeout.reschedule(None)
        self._num_waiting += 1

    def go_on(self) -> None:
        """Let the clock go on."""
        self._num_waiting -= 1
        if self._num_waiting == 0 and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left_s)


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current_deadline() -> Deadline | None:
    """Return the deadline around what runs now."""
    return _deadline.get()


@contextmanager
def clock_stopped() -> Generator[None]:
    """Keep the time that this block takes from counting towards the deadline around it.

    Of several such blocks at once, the clock goes on when the last one ends.
    """
    deadline = _deadline.get()
    if deadline is None:
        yield
        return
    deadline.stop()
    try:
        yield
    finally:
        deadline.go_on()
