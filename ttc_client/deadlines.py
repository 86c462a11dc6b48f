"""Time-outs, cheap enough for every request, and the deadline across a request's attempts."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Protocol, Self

_NEVER = float("inf")


class Timed(Protocol):
    """What a clock watches; `check` is called when the loop's time has reached `end_s`."""

    end_s: float

    def check(self, now_s: float) -> None:
        """End, or set another `end_s`."""
        ...


class Clock:
    """Watch what has a time-out, with one timer for all.

    Almost nothing reaches its time-out, and a timer for each would cost a request far more.
    """

    def __init__(self) -> None:
        self._watched: set[Timed] = set()
        self._due_s = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, timed: Timed) -> None:
        """Watch it until it is dropped."""
        self._watched.add(timed)
        if timed.end_s < self._due_s:
            self._ring_at(timed.end_s)

    def drop(self, timed: Timed) -> None:
        """Watch it no longer."""
        self._watched.discard(timed)

    def _ring_at(self, due_s: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._due_s = due_s
        self._timer = asyncio.get_running_loop().call_at(due_s, self._ring)

    def _ring(self) -> None:
        now_s = max(self._due_s, asyncio.get_running_loop().time())
        self._due_s, self._timer = _NEVER, None
        for timed in [timed for timed in self._watched if timed.end_s <= now_s]:
            timed.check(now_s)
        due_s = min((timed.end_s for timed in self._watched), default=_NEVER)
        if due_s < self._due_s:
            self._ring_at(due_s)


class Deadline:
    """Raise TimeoutError from a `with` block unless it ends within `seconds`, pauses not counted.

    The current one inside its block, and in tasks that are started there.
    """

    _outer: "Token[Deadline | None]"
    _task: "asyncio.Task[object] | None"

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._seconds, self._clock = seconds, clock or Clock()
        self._num_waiting, self._left_s = 0, 0.0
        self._is_over = False

    def __enter__(self) -> Self:
        self._outer = _current.set(self)
        loop = asyncio.get_running_loop()
        self._task = task = asyncio.current_task(loop)
        self._num_cancelled = task.cancelling() if task else 0
        self.end_s = loop.time() + self._seconds
        self._clock.watch(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        _current.reset(self._outer)
        self._clock.drop(self)
        if self._is_over and self._task:
            cancelled_once = self._task.uncancel() <= self._num_cancelled
            if cancelled_once and kind is asyncio.CancelledError:
                raise TimeoutError

    def check(self, now_s: float) -> None:
        """End the block."""
        self._clock.drop(self)
        self._is_over = True
        if self._task:
            self._task.cancel()

    @property
    def left_s(self) -> float:
        """Seconds left; infinite during a pause."""
        return self.end_s - asyncio.get_running_loop().time()

    @property
    def is_half_over(self) -> bool:
        """Whether less than half of the time is left."""
        return self.left_s < self._seconds / 2

    def stop(self) -> None:
        """Pause the clock until `go_on` is called as often as `stop`."""
        if self._num_waiting == 0:
            self._left_s, self.end_s = self.left_s, _NEVER
        self._num_waiting += 1

    def go_on(self) -> None:
        """Undo one `stop`; the last one restarts the clock."""
        self._num_waiting -= 1
        if self._num_waiting == 0:
            self.end_s = asyncio.get_running_loop().time() + self._left_s
            if not self._is_over:
                self._clock.watch(self)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current_deadline() -> Deadline | None:
    """Return the innermost deadline around this code."""
    return _current.get()


@contextmanager
def clock_stopped() -> Generator[None]:
    """Pause the deadline around this block; it goes on when the last of such blocks ends."""
    deadline = _current.get()
    if deadline is None:
        yield
        return
    deadline.stop()
    try:
        yield
    finally:
        deadline.go_on()
