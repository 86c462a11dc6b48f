"""Mathematics with a final answer: equivalent answers vote together, the gold answer grades."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

from ttc_client.answers import AnswerPool, extract_answer
from ttc_client.answers.grading import grade
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT
from ttc_client.types import Message, Problem


@dataclass(frozen=True, slots=True)
class Math:
    """The blog post's task. `read_answer` reads the answer off a completion."""

    system_prompt: str = META_MATH_SYSTEM_PROMPT
    read_answer: Callable[[str], str] = extract_answer
    name: str = "math"

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the system prompt, where there is one."""
        if not self.system_prompt:
            return problem.messages
        return (Message("system", self.system_prompt), *problem.messages)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the boxed or announced answer, or else the last number."""
        return self.read_answer(text)

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: AnswerPool
    ) -> Sequence[str]:
        """Return canonical forms; raises TTCError where the workers cannot start."""
        return await workers.canonical_keys(answers)

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: AnswerPool
    ) -> Sequence[float]:
        """Return 1 for answers equal to the gold answer, else 0; NaN where there was no time."""
        grades = await grade(workers, answers, problem.gold)
        return [
            float(right) if right or not timed_out else nan
            for right, timed_out in zip(grades.correct, grades.timed_out, strict=True)
        ]
