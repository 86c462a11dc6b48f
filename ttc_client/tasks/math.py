"""Mathematics with a final answer: equivalent answers vote together, the gold answer grades."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import ClassVar, Literal, get_args

from ttc_client.answers import extract_answer
from ttc_client.answers.grading import grade
from ttc_client.answers.math_verify import math_verify_version
from ttc_client.errors import ConfigError
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT, under
from ttc_client.tasks.workers import Workers
from ttc_client.types import Message, Problem

Grader = Literal["own", "math-verify"]


@dataclass(frozen=True, slots=True)
class Math:
    """The blog post's task. `read_answer` reads the answer off a completion.

    `grader` "math-verify" has that library grade, for numbers that compare with published ones; it
    never votes. Raises ConfigError for a grader that is unknown or not installed.
    """

    system_prompt: str = META_MATH_SYSTEM_PROMPT
    grader: Grader = "own"
    read_answer: Callable[[str], str] = extract_answer
    name: str = "math"
    about: ClassVar[str] = (
        "a final answer in mathematics; equal by canonical form, graded by the gold answer"
    )

    def __post_init__(self) -> None:
        if self.grader not in get_args(Grader):
            known = ", ".join(get_args(Grader))
            raise ConfigError(f"grader is {self.grader!r}: it must be one of {known}")
        if self.grader == "math-verify":
            math_verify_version()

    @property
    def grader_name(self) -> str:
        """The grader, with its version where that is another project's."""
        return "own" if self.grader == "own" else f"math-verify {math_verify_version()}"

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the system prompt, where there is one."""
        return under(self.system_prompt, problem)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the boxed or announced answer, or else the last number."""
        return self.read_answer(text)

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return canonical forms; raises TTCError where the workers cannot start."""
        return await workers.answers.canonical_keys(answers)

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return 1 for right answers and 0 for others; NaN where there was no time."""
        if self.grader == "math-verify":
            library = await workers.math_verify()
            verdicts = await library.grade(answers, problem.gold)
            return [nan if right is None else float(right) for right in verdicts]
        return await self.own_grades(problem, answers, workers)

    async def own_grades(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return what our own grader says, whichever grades."""
        grades = await grade(workers.answers, answers, problem.gold)
        return [
            float(right) if right or not timed_out else nan
            for right, timed_out in zip(grades.correct, grades.timed_out, strict=True)
        ]
