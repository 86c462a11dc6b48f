"""What goes with a request through the wrappers without being an argument: one object, `Call`.

- `turn`: set by `taking_turns` around each search; read by `Limiter`, which admits the oldest
  search first.
- `deadline`: set by `retrying` around all attempts; read by `Replicas`, which does not probe with
  requests near it. `clock_stopped` finds it without `Call`, as clients use it too.
- `last_failure`: set by `retrying` after each failed attempt, and by `Replicas` while the request
  waits for a probe; read by `retrying`, which names it when the time is up.
- `has_other`: set by `Replicas` after each failed attempt, if another replica can take the
  request; read by `retrying`, which then does not wait for what `Retry-After` asks.
"""

from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from ttc_client.deadlines import Deadline
from ttc_client.errors import ServerError


@dataclass(slots=True)
class Call:
    """A request with all its attempts, or a search before it sends one.

    The current one inside a `with` block, and in tasks started in it.
    """

    turn: int = 0
    deadline: Deadline | None = None
    last_failure: ServerError | None = None
    has_other: bool = False
    _outer: "Token[Call | None] | None" = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self._outer = _call.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._outer:
            _call.reset(self._outer)


_call: ContextVar[Call | None] = ContextVar("call", default=None)
_turns = count(1)


def current_call() -> Call:
    """Return the innermost call around this code, or an empty one, whose turn is before all."""
    return _call.get() or Call()


def taking_turns() -> Call:
    """Give the requests of a `with` block, and of tasks started in it, the next turn."""
    return Call(turn=next(_turns))
