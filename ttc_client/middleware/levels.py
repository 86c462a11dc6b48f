"""How many sequences to keep in flight at a server: a number, or what turns out to be best.

`AutoLevel` climbs while throughput grows, and backs off as TCP does: it doubles until a doubling
no longer pays, then tries a quarter more now and then. It knows nothing of requests.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Level(Protocol):
    """The bound on sequences in flight, told how each request ended."""

    @property
    def capacity(self) -> int: ...

    def exchanged(self, num_sequences: int, *, refused: bool, saturated: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class FixedLevel:
    """A bound that somebody chose."""

    capacity: int

    def exchanged(self, num_sequences: int, *, refused: bool, saturated: bool) -> None:
        """Learn nothing."""


LEAST, START, MOST = 8, 64, 8192

_WINDOW = 2
"""Each level is judged by so many times its sequences."""
_WORTH_IT = 0.25
"""The share of a rise that throughput must rise by: a quarter more in flight, 6 % more a second."""
_SLOWED = 0.7
"""The share of its throughput at which a level is left: requests are queueing at the server."""
_REFUSED = 0.1
"""The share of requests answered 429 or 503 that is taken for overload, not for chance."""
_BACK_OFF = 0.7
_RESTS = 8
"""Windows between two attempts to climb, once the level is found."""


@dataclass(slots=True)
class AutoLevel:
    """Find the number of sequences beyond which a server does not answer more of them a second.

    A window ends after twice the level's sequences, all of them sent while others waited. If
    too many were refused, or the level now yields much less than it did, the level is lowered.
    If it was raised and throughput did not follow, it is lowered to where it was.
    """

    capacity: int = START
    clock: Callable[[], float] = time.monotonic
    _factor: float = 2.0
    _rests: int = 0
    _below: tuple[int, float] | None = None
    _rate: float | None = None
    _began_s: float = field(default=0.0, init=False)
    _answered: int = 0
    _refused: int = 0

    def __post_init__(self) -> None:
        self._began_s = self.clock()

    def exchanged(self, num_sequences: int, *, refused: bool, saturated: bool) -> None:
        """Count sequences that were answered, or refused by a server that is overloaded."""
        if refused:
            self._refused += num_sequences
        else:
            self._answered += num_sequences
        if not (saturated or self._refused):
            self._begin_window()  # a server that waits for us says nothing about its limits
        elif self._answered + self._refused >= _WINDOW * self.capacity:
            self._judge()
            self._begin_window()

    def _begin_window(self) -> None:
        self._began_s, self._answered, self._refused = self.clock(), 0, 0

    def _judge(self) -> None:
        rate = self._answered / max(self.clock() - self._began_s, 1e-9)
        if self._refused > _REFUSED * (self._answered + self._refused):
            self._settle(round(self.capacity * _BACK_OFF))
        elif self._below is not None:
            self._judge_rise(rate, *self._below)
        elif self._rate is not None and rate < _SLOWED * self._rate:
            self._settle(round(self.capacity * _BACK_OFF))
        elif self._rests:
            self._rests -= 1
            self._rate = rate
        else:
            self._rise(rate)

    def _judge_rise(self, rate: float, capacity_below: int, rate_below: float) -> None:
        rise = self.capacity / capacity_below - 1
        if rate >= rate_below * (1 + _WORTH_IT * rise):
            self._rise(rate)
        else:
            self._settle(capacity_below)

    def _rise(self, rate: float) -> None:
        self._below = (self.capacity, rate)
        self.capacity = min(MOST, round(self.capacity * self._factor))

    def _settle(self, capacity: int) -> None:
        self.capacity = max(LEAST, capacity)
        self._factor, self._rests, self._below, self._rate = 1.25, _RESTS, None, None
