"""Grade with the library math-verify, where its extra is installed, in place of our own grading.

For numbers that are to be compared with those of others. It runs in worker processes with the
limits of our own, not by its own time-outs, which need the main thread. It serves grading only:
what it finds equal depends on which of the two is the gold answer, so that it cannot vote.
"""

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from ttc_client.answers.process import Limits, WorkerPool
from ttc_client.errors import ExtraError
from ttc_client.together import together

_DELIMITERS = "$ \t\n"


def math_verify_version() -> str:
    """Return the version of math-verify, which belongs to the results that it graded.

    Raises `ConfigError` where it is not installed.
    """
    try:
        return version("math-verify")
    except PackageNotFoundError as error:
        raise ExtraError("the grader math-verify needs", "math-verify") from error


class MathVerify:
    """Grades answers by math-verify; `version` is the library's. Raises `ConfigError` without it.

    Limits are those of `AnswerPool`. Serves any number of concurrent calls.
    """

    def __init__(self, workers: int = 2, limits: Limits | None = None) -> None:
        self.version = math_verify_version()
        self._limits = limits or Limits(memory_mb=1024)
        self._workers = WorkerPool("math-verify", workers, self._limits)

    async def __aenter__(self) -> Self:
        """Start the workers; they load the library in the background."""
        await self._workers.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._workers.stop()

    async def grade(self, answers: Sequence[str], gold: str) -> list[bool | None]:
        """Compare answers with the gold answer; an empty one is wrong, None had no time."""
        deadline = asyncio.get_running_loop().time() + self._limits.total_s
        distinct = [answer for answer in dict.fromkeys(answers) if answer]
        replies = await together(self._workers.ask([gold, answer], deadline) for answer in distinct)
        right = {"": False, **dict(zip(distinct, replies, strict=True))}
        return [right[answer] for answer in answers]


def load() -> Callable[[Any], bool]:
    """Import the library, and return what compares a pair of gold answer and answer."""
    import math_verify  # pyright: ignore

    library: Any = math_verify

    def verified(pair: tuple[str, str]) -> bool:
        gold, answer = (
            library.parse(f"${text.strip(_DELIMITERS)}$", parsing_timeout=None) for text in pair
        )
        return bool(library.verify(gold, answer, timeout_seconds=None))

    verified(("1", r"\frac{2}{2}"))
    return verified
