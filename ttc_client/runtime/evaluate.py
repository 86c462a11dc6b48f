"""Search for the answer to one problem and grade it: what a bench does, over and over.

Knows nothing of files and screens.
"""

import traceback
from dataclasses import dataclass

from ttc_client.errors import TTCError
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.client import Client
from ttc_client.runtime.records import (
    Cost,
    Key,
    Record,
    Trace,
    distinct_answers,
    record_of,
)
from ttc_client.search.params import SearchParams
from ttc_client.types import Problem


@dataclass(frozen=True, slots=True)
class Job:
    """A problem, and how to search for its answer: names and data, no keys, no functions."""

    problem: Problem
    params: SearchParams

    @property
    def key(self) -> Key:
        """What names the search in its run."""
        params = self.params
        return Key(params.strategy, params.n, params.seed, self.problem.id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job; there is no `trace` of a failed one."""

    record: Record
    cost: Cost
    trace: Trace | None


async def evaluate(client: Client, job: Job, meter: Meter | None = None) -> Outcome:
    """Run a job; whatever fails becomes the record's error. `meter` may be watched meanwhile."""
    meter, key = meter or Meter(), job.key._asdict()
    try:
        result = await client.solve(job.problem, job.params, meter=meter)
        answers = distinct_answers(result.candidates)
        grades = await client.grade(job.problem, answers)
        own = await client.own_grades(job.problem, answers)
    except Exception as error:
        return failed(job, error, meter)
    cost = Cost(**key, usage=result.usage, wall_s=result.wall_s)
    return Outcome(record_of(job.key, result, grades, own), cost, Trace(**key, tree=result.tree))


def failed(job: Job, error: Exception, meter: Meter | None = None) -> Outcome:
    """Return what became of a job that failed, after spending what `meter` counts."""
    meter, key = meter or Meter(), job.key._asdict()
    record = Record(
        **key,
        error=str(error) or type(error).__name__,
        error_type=type(error).__name__,
        traceback="" if isinstance(error, TTCError) else "".join(traceback.format_exception(error)),
    )
    return Outcome(record, Cost(**key, usage=meter.usage, wall_s=meter.elapsed_s), None)
