"""A time-out across attempts, paused while a request queues locally."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from ttc_client.errors import ServerError


class Deadline:
    """Raise TimeoutError from the block unless it ends within `seconds`, pauses not counted.

    `reason` is the failure because of which the block waits for servers, if it does.
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
        """Seconds left; infinite during a pause."""
        end_s = self._timeout.when()
        return float("inf") if end_s is None else end_s - asyncio.get_running_loop().time()

    @property
    def is_half_over(self) -> bool:
        """Whether less than half of the time is left."""
        return self.left_s < self._seconds / 2

    def stop(self) -> None:
        """Pause the clock until `go_on` is called as often as `stop`."""
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
    """Return the innermost deadline around the caller, None if there is none."""
    return _deadline.get()


@contextmanager
def clock_stopped() -> Generator[None]:
    """Pause the deadline around this block; it goes on when the last of such blocks ends."""
    deadline = _deadline.get()
    if deadline is None:
        yield
        return
    deadline.stop()
    try:
        yield
    finally:
        deadline.go_on()
