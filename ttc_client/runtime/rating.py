"""Have a verifier rate whole answers, for a task without right ones to compare with."""

from collections.abc import Awaitable, Callable, Sequence
from math import nan

from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.steps import split_steps
from ttc_client.tasks.workers import Rate
from ttc_client.types import Problem


def rated_by(score: Callable[[ScoreRequest], Awaitable[Scores]]) -> Rate:
    """Return what rates each answer by a verifier's score of its end, NaN where there is none."""

    async def rate(problem: Problem, answers: Sequence[str]) -> Sequence[float]:
        items = tuple(tuple(split_steps(answer)) for answer in answers)
        reply = await score(ScoreRequest(problem, (), items))
        last = [scores[-1] if scores else None for scores in reply.scores]
        return [nan if score is None else score for score in last]

    return rate
