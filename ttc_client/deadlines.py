"""A time-out across attempts, paused while a request queues locally."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self


class Deadline:
    """Raise TimeoutError from the block unless it ends within `seconds`, pauses not counted."""

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
        """Undo one `stop`; the last one restarts the clock."""
        self._num_waiting -= 1
        if self._num_waiting == 0 and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left_s)


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
"""Set by `Deadline`, read by `clock_stopped` alone; others read `middleware.context`."""


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
