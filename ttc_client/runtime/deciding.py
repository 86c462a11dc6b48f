"""Choose the answer of a search: by counting votes, or by a tournament that a judge decides."""

from collections.abc import Sequence
from dataclasses import dataclass

from ttc_client.errors import ServerError
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import CompareRequest, Judge
from ttc_client.search.tournament import tournament
from ttc_client.search.voting import choices, counted_vote, ranked
from ttc_client.tasks.task import Task
from ttc_client.types import AnswerGroup, Candidate, Problem, Vote


@dataclass(frozen=True, slots=True)
class Decision:
    """The groups of answers in the order of `vote`, what each vote would choose, and a note."""

    vote: Vote
    order: tuple[AnswerGroup, ...]
    choices: dict[Vote, str]
    note: str = ""


async def decide(
    problem: Problem,
    params: SearchParams,
    task: Task,
    default: Vote,
    read: Sequence[Candidate],
    groups: Sequence[AnswerGroup],
    judge: Judge | None,
    *,
    scored: bool,
) -> Decision:
    """Decide by the vote that is asked for, else by the task's or, by `default`, the strategy's.

    A task's tournament needs a judge, and is left where there is none. Raises ServerError where
    none of its comparisons came to anything.
    """
    counted = counted_vote(params.vote, default)
    vote = params.vote or (getattr(task, "vote", None) if judge else None) or default
    chosen = choices(groups, scored=scored, weighed=any(c.weight is not None for c in read))
    if vote != "tournament" or judge is None:
        order = ranked(groups, counted)
        return Decision(counted, order, chosen)
    compare = _Compared(problem, judge)
    ranking = await tournament(groups, read, compare, most_pairs=params.pairs, seeding=counted)
    if compare.failure and not compare.answered:
        raise compare.failure
    chosen["tournament"] = ranking.order[0].answer if ranking.order else ""
    return Decision("tournament", ranking.order, chosen, ranking.note)


class _Compared:
    """Ask a judge for a problem; a comparison that fails is one that is missing."""

    def __init__(self, problem: Problem, judge: Judge) -> None:
        self._problem, self._judge = problem, judge
        self.answered = 0
        self.failure: ServerError | None = None

    async def __call__(self, first: str, second: str) -> float | None:
        try:
            comparison = await self._judge(CompareRequest(self._problem, first, second))
        except ServerError as error:
            self.failure = error
            return None
        self.answered += 1
        return comparison.score
