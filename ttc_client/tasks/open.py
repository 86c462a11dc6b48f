"""Free text without one right answer: every candidate stands for itself, and a judge rates it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ttc_client.answers.extract import spoken
from ttc_client.errors import ConfigError
from ttc_client.tasks.functions import check_measure, scored
from ttc_client.tasks.prompts import under
from ttc_client.tasks.rows import Cell, Reading, Row
from ttc_client.tasks.workers import Workers
from ttc_client.types import Message, Problem, Vote

JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Open:
    """An essay, a letter, a plan. `score` is "judge" or a function of problem and answer.

    The judge is what the workers rate with; raises ConfigError where neither is there to grade.
    """

    system_prompt: str = ""
    score: str = JUDGE
    name: str = "open"
    vote: ClassVar[Vote] = "tournament"
    about: ClassVar[str] = (
        "free text without one right answer; each stands for itself, a judge rates it"
    )

    def __post_init__(self) -> None:
        if self.score != JUDGE:
            check_measure(self.score, {JUDGE: lambda answer, gold: 0.0})

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """What sets of prompts call them."""
        return {"problem": ("prompt", "question", "problem", "instruction", "input")}

    @property
    def needs_gold(self) -> bool:
        """A reference answer may be there for the judge to read."""
        return False

    def read(self, row: Row, cell: Cell) -> Reading:
        """Read nothing else."""
        return Reading()

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return the problems as they are."""
        return problems

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the user's own system prompt, where there is one."""
        return under(self.system_prompt, problem)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the whole reply, without the thoughts before it."""
        return spoken(text).strip()

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return the answers themselves: two that differ in a letter are two."""
        return answers

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return the rating of each answer, from 0 to 1; NaN where the judge has none."""
        if self.score != JUDGE:
            return await scored(self.score, {}, problem, answers, ())
        if workers.rate is None:
            raise ConfigError(
                "nothing rates the answers of the task open: search by a strategy that needs a "
                "verifier, such as best-of-n, with a judge (--prm URL --prm-api judge), or give "
                "--score python:module:function"
            )
        return await workers.rate(problem, answers)
