"""Whose turn it is among searches that wait for the same server: who began first comes first."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

_turns = count(1)
_turn: ContextVar[int] = ContextVar("turn", default=0)


@contextmanager
def taking_turns() -> Generator[None]:
    """Give the requests of this block, those of tasks begun in it included, a turn of their own."""
    outer = _turn.set(next(_turns))
    try:
        yield
    finally:
        _turn.reset(outer)


def turn() -> int:
    """Return the turn of the search that asks; 0, before all others, outside of one."""
    return _turn.get()
