"""The seam between a search and what it searches for."""

from collections.abc import Sequence
from typing import Protocol

from ttc_client.tasks.workers import Workers
from ttc_client.types import Message, Problem


class Task(Protocol):
    """What is asked and how it is judged. Implementations are frozen, and pickle.

    `workers` are the processes that key and grade answers, opened by `Client`.
    """

    @property
    def name(self) -> str:
        """What results and run directories call the task."""
        ...

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem's conversation under the task's prompt."""
        ...

    def extract(self, problem: Problem, text: str) -> str:
        """Return the answer that a completion gives, "" where it gives none."""
        ...

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return a key per answer; equal keys mean equivalent answers."""
        ...

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return how right each distinct answer is, from 0 to 1; NaN where there was no time."""
        ...
