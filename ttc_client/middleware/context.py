"""What goes with a request through the wrappers without being an argument: one object, `Call`.

- `turn`: set by `taking_turns` around each search; read by `Limiter`, which admits the oldest
  search first.
- its deadline: set by `retrying` around all attempts; read by `Replicas`, which does not probe with
  requests near it, and stopped by `clock_stopped`, which clients use too.
- `last_failure`: set by `retrying` after each failed attempt, and by `Replicas` while the request
  waits for a probe; read by `retrying`, which names it when the time is up.
- `has_other`: set by `Replicas` after each failed attempt, if another replica can take the
  request; read by `retrying`, which then does not wait for what `Retry-After` asks.
"""

from itertools import count

from ttc_client.deadlines import Clock, Deadline, current_deadline
from ttc_client.errors import ServerError


class Call(Deadline):
    """A request with all its attempts, or a search before it sends one, which has no deadline.

    The current one inside a `with` block, and in tasks started in it.
    """

    def __init__(self, turn: int, seconds: float, clock: Clock) -> None:
        super().__init__(seconds, clock)
        self.turn = turn
        self.last_failure: ServerError | None = None
        self.has_other = False


_ENDLESS = Clock()
_turns = count(1)


def current_call() -> Call:
    """Return the innermost call around this code, or an empty one, whose turn is before all."""
    call = current_deadline()
    return call if isinstance(call, Call) else Call(0, float("inf"), _ENDLESS)


def taking_turns() -> Call:
    """Give the requests of a `with` block, and of tasks started in it, the next turn."""
    return Call(next(_turns), float("inf"), _ENDLESS)
