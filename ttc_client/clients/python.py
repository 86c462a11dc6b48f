"""A function of one's own as a verifier, by its name: `python:module:function`.

It gets a problem and the steps so far, and may be sync or async.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from ttc_client.clients.replies import Unexpected
from ttc_client.clients.scores import PRMFacts, probability
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.tasks.functions import python_function
from ttc_client.together import together
from ttc_client.types import Problem, Usage

StepFunction = Callable[[Problem, tuple[str, ...]], Any]
"""Returns a score in [0, 1] of the solution so far, a sequence of one for each of its steps, or
None where it cannot say."""


@dataclass(frozen=True, slots=True)
class PythonVerifier:
    """Call a function for each item; open one with `named`.

    A function with the attribute `reads = "solutions"` is called for whole solutions alone.
    """

    function: StepFunction
    name: str

    @classmethod
    def named(cls, function: str, name: str = "") -> "PythonVerifier":
        """Import the function that `python:module:function` names; raises ConfigError."""
        return cls(python_function(function, "prm_api"), name or function)

    @property
    def facts(self) -> PRMFacts:
        """What the function reads; it is given the whole problem."""
        reads: Literal["prefixes", "solutions"] = getattr(self.function, "reads", "prefixes")
        return PRMFacts(reads=reads, reads_history=True)

    async def score(self, request: ScoreRequest) -> Scores:
        """Call the function for all items at once; a sync one runs in a thread.

        An item for which it raises has no scores. Raises ProtocolError where it raises for all,
        and for what is no score.
        """
        found = await together(self._of_item(request, item) for item in request.items)
        errors = [scores for scores in found if isinstance(scores, Exception)]
        if errors and len(errors) == len(request.items):
            raise self._unexpected(f"raised {errors[0]!r}") from errors[0]
        return Scores(
            tuple(
                (None,) * len(item) if isinstance(scores, Exception) else scores
                for item, scores in zip(request.items, found, strict=True)
            ),
            Usage(failures={"the verifier raised": len(errors)} if errors else {}),
        )

    async def _of_item(
        self, request: ScoreRequest, item: tuple[str, ...]
    ) -> tuple[float | None, ...] | Exception:
        if not item:
            return ()
        steps = (*request.prefix, *item)
        try:
            if inspect.iscoroutinefunction(self.function):
                said = await self.function(request.problem, steps)
            else:
                said = await asyncio.to_thread(self.function, request.problem, steps)
        except Exception as error:
            return error
        if hasattr(said, "tolist"):  # an array's, a tensor's or one of their numbers
            said = said.tolist()
        if not isinstance(said, Sequence):
            return (self._score(said),) * len(item)
        scores = cast(Sequence[Any], said)
        if len(scores) != len(steps):
            raise self._unexpected(f"returned {len(scores)} scores for {len(steps)} steps")
        return tuple(map(self._score, scores[len(request.prefix) :]))

    def _score(self, score: Any) -> float | None:
        if score is None:
            return None
        try:
            return probability(float(score))
        except (Unexpected, TypeError, ValueError) as error:
            raise self._unexpected(f"returned {score!r}, which is no score in [0, 1]") from error

    def _unexpected(self, what: str) -> ProtocolError:
        return ProtocolError(f"{self.name} {what}", url=self.name)
