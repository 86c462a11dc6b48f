"""A step that takes several requests, since the policy thinks first."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from ttc_client.errors import ServerError
from ttc_client.search.forcing import MOST_WAITS, Forcing, joined
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Write
from ttc_client.search.results import as_ended
from ttc_client.search.thinking import is_thinking, said
from ttc_client.thoughts import CLOSE, ending_of
from ttc_client.types import Trajectory

Until = Literal["step", "end"] | int
"""Where a continuation ends: at the next step delimiter, at the policy's own end, or after so
many tokens, from where it can go on."""

_MOST_TURNS = 8 + 2 * MOST_WAITS
"""A thought, blank lines behind it, and the first step of the response take three."""
_FIRST_TURN = -2
"""The number of the first turn behind a step; -1 is a look-ahead's."""
_OPENING_TOKENS = 16
"""Enough to see whether a thought begins, and with which mark."""


class Sample(Protocol):
    """What `Search.sample` offers."""

    def __call__(
        self,
        parent: Trajectory,
        n: int,
        max_tokens: int,
        *,
        first: int,
        until: Until,
        stop: tuple[str, ...],
    ) -> Awaitable[list[Trajectory]]: ...


class Turn(NamedTuple):
    """A request: at most so many tokens, up to a stop string; a piece can go on where it is cut."""

    max_tokens: int
    stop: tuple[str, ...]
    is_piece: bool = False

    @property
    def until(self) -> Until:
        """Where its continuations end, as `Search.sample` is told."""
        return self.max_tokens if self.is_piece else "step" if self.stop else "end"

    def checkpoint(self, n: int = 1) -> int | None:
        """Return the tokens from which one of n continuations may be cut and go on, if it can.

        A server that counts the tokens of a request alone gives each child their mean.
        """
        return max(1, self.max_tokens // n) if self.is_piece else None


@dataclass(frozen=True, slots=True)
class Turns:
    """The requests that make up a step below `parent`: a first one for all, then one for each.

    `forcing` holds the thought to its budget, None where it has none or has ended.
    """

    parent: Trajectory
    params: SearchParams
    until: Until
    forcing: Forcing | None

    @classmethod
    def below(cls, parent: Trajectory, params: SearchParams, until: Until, write: Write) -> "Turns":
        """Return the requests below a trajectory; raises ConfigError as `Forcing.below` does."""
        return cls(parent, params, until, Forcing.below(parent, params, write))

    def first(self) -> Turn:
        """Return the request for all children."""
        params, parent = self.params, self.parent
        limit = self._left(parent)
        if self.until != "end":
            limit = min(limit, params.max_tokens)
        if isinstance(self.until, int):
            limit = min(limit, self.until)
        if self.forcing is None:
            return Turn(limit, self._stop, isinstance(self.until, int))
        if said(parent).is_open:
            return self._in_thought(parent)
        return Turn(min(limit, _OPENING_TOKENS), self._stop, is_piece=True)

    def goes_on(self, child: Trajectory) -> bool:
        """Return whether a child is not yet what was asked for."""
        if child.finished:
            return False
        if self.until == "step" and self.params.thoughts == "drop" and is_thinking(child):
            return True
        if self.forcing is None:
            return False
        if isinstance(self.until, int):
            return self._room(child) > 0
        return self.until == "end" or not child.text.endswith(self._stop)

    async def all_of(self, child: Trajectory, sample: Sample) -> Trajectory:
        """Go on from what the first request gave to all that was asked for, as one step.

        Stop strings are for the response: a thought whose steps are not scored has all of the
        completion's tokens. Raises ServerError where a request failed.
        """
        forcing = self.forcing
        for turn in range(_MOST_TURNS):
            if forcing:
                child, is_open = await forcing.judged(child)
                forcing = forcing if is_open else None
            if not self.goes_on(child):
                break
            asked = self._in_thought(child) if said(child).is_open else self._in_response(child)
            if asked.max_tokens < 1:
                return _cut(child)
            first = _FIRST_TURN - turn
            grown = await sample(
                child, 1, asked.max_tokens, first=first, until=asked.until, stop=asked.stop
            )
            if not grown:
                raise ServerError("a step within a thought could not be continued", url="")
            child = joined(child, as_ended(grown[0], self._left(child), asked.checkpoint()))
        return child

    @property
    def _stop(self) -> tuple[str, ...]:
        return self.params.step_delimiter if self.until == "step" else ()

    @property
    def _thinks_in_steps(self) -> bool:
        return self.until == "step" and self.params.thoughts == "score"

    def _left(self, child: Trajectory) -> int:
        return self.params.max_completion_tokens - child.num_tokens

    def _room(self, child: Trajectory) -> int:
        """Return how many tokens a child may still take in this step."""
        most = self._left(self.parent)
        if self._thinks_in_steps:
            most = min(most, self.params.max_tokens)
        if isinstance(self.until, int):
            most = min(most, self.until)
        return most - (child.num_tokens - self.parent.num_tokens)

    def _in_response(self, child: Trajectory) -> Turn:
        return Turn(self._room(child), self._stop, isinstance(self.until, int))

    def _in_thought(self, child: Trajectory) -> Turn:
        ending = ending_of(child.text, child.prompt.closes_thought)
        stop = (ending.mark if ending else CLOSE, *(self._stop if self._thinks_in_steps else ()))
        room = self._room(child)
        if self.forcing is None:
            return Turn(room, stop)
        return Turn(min(room, self.forcing.budget.most - child.num_tokens), stop, is_piece=True)


def _cut(child: Trajectory) -> Trajectory:
    *before, last = child.steps
    return replace(child, steps=(*before, replace(last, finish="length")))
