"""Run a grid of searches over a problem set, many at once, and keep what each one found.

Knows nothing of the screen; whoever wants to show the run reads its `Standing`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ttc_client.bench.journal import Journal
from ttc_client.bench.leases import OPEN_PER_SLOT, Fleet
from ttc_client.middleware.limits import Limiter
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.client import Client
from ttc_client.runtime.evaluate import Job, Outcome, evaluate
from ttc_client.search.params import SearchParams
from ttc_client.together import together
from ttc_client.types import Problem, Usage

_MOST_WORKERS = 4096

Cell = tuple[str, int]
"""A strategy and N: what a row of a table shows."""


class Spending(Protocol):
    """What has spent something, and may go on: a search, or the workers on other machines."""

    @property
    def usage(self) -> Usage: ...


@dataclass(slots=True)
class Standing:
    """How far a run is, while it runs.

    `planned` and `finished` count searches by strategy and N, those of earlier sittings too, and
    `grades` adds up how right the answers are that they decide for. `sitting` and `left` count
    candidates, the former in this sitting; `ended` is what its searches spent that have ended, in
    whatever way.
    """

    planned: Counter[Cell]
    left: int
    finished: Counter[Cell] = field(default_factory=Counter[Cell])
    grades: dict[Cell, float] = field(default_factory=dict[Cell, float])
    num_failed: int = 0
    ended: Usage = field(default_factory=Usage)
    sitting: int = 0
    running: list[Spending] = field(default_factory=list[Spending])
    latest: Cell | None = None
    latest_error: str = ""
    started_s: float = field(default_factory=time.monotonic)

    @property
    def num_searches(self) -> int:
        """How many searches the run is made of."""
        return self.planned.total()

    @property
    def usage(self) -> Usage:
        """What was spent in this sitting, by searches that still run, too."""
        return sum((each.usage for each in self.running), self.ended)

    @property
    def elapsed_s(self) -> float:
        """Seconds since this sitting began."""
        return time.monotonic() - self.started_s

    @property
    def eta_s(self) -> float | None:
        """Seconds until the run ends if it goes on as it did; None before the first search."""
        return self.elapsed_s * self.left / self.sitting if self.sitting else None

    def count(self, search: SearchParams, grade: float) -> None:
        """Count a search that finished."""
        self.latest = _cell(search)
        self.finished[self.latest] += 1
        self.grades[self.latest] = self.grades.get(self.latest, 0.0) + grade
        self.left -= search.n


class Bench:
    """A run: every problem is put through every search of a plan."""

    def __init__(
        self,
        problems: Sequence[Problem],
        searches: Sequence[SearchParams],
        journal: Journal,
        *,
        traces: bool = True,
    ) -> None:
        self._plan = [Job(problem, search) for search in searches for problem in problems]
        self._journal = journal
        self._traces = traces
        planned = Counter(_cell(job.params) for job in self._plan)
        self.standing = Standing(planned, sum(job.params.n for job in self._plan))
        for job in self._plan:
            if (grade := journal.finished.get(job.key)) is not None:
                self.standing.count(job.params, grade)

    async def run(self, client: Client) -> None:
        """Run the searches that are not finished yet; a search that fails becomes an error record.

        The outcome does not depend on how many run at once. Raises TTCError where the journal
        cannot be written.
        """
        left = self._left
        room, jobs = Limiter(OPEN_PER_SLOT * client.capacity), iter(left)
        await together(self._work(client, jobs, room) for _ in left[:_MOST_WORKERS])
        await self._sort()

    async def run_on(self, fleet: Fleet) -> None:
        """Do the same with the workers of a fleet, to the same outcome.

        Raises TTCError too if no worker is left.
        """
        self.standing.running.append(fleet)
        await fleet.run(self._left, self._keep_spent)
        await self._sort()

    @property
    def _left(self) -> list[Job]:
        return [job for job in self._plan if job.key not in self._journal.finished]

    async def _sort(self) -> None:
        await asyncio.to_thread(self._journal.sort, [job.key for job in self._plan])

    async def _work(self, client: Client, jobs: Iterator[Job], room: Limiter) -> None:
        for job in jobs:
            async with room.slots(job.params.n):
                await self._search(client, job, room)

    async def _search(self, client: Client, job: Job, room: Limiter) -> None:
        meter = Meter(lambda _: room.resize(OPEN_PER_SLOT * client.capacity))
        standing = self.standing
        standing.running.append(meter)
        try:
            outcome = await evaluate(client, job, meter)
        finally:
            standing.running.remove(meter)
            standing.ended += meter.usage
        await self._keep(job, outcome)

    async def _keep_spent(self, job: Job, outcome: Outcome) -> None:
        self.standing.ended += outcome.cost.usage
        await self._keep(job, outcome)

    async def _keep(self, job: Job, outcome: Outcome) -> None:
        """Count what became of a job, and write it: a stopped run lets its writer finish."""
        standing, params = self.standing, job.params
        if outcome.record.error:
            standing.num_failed += 1
            standing.left -= params.n
            standing.latest_error = outcome.record.error
        else:
            standing.count(params, outcome.record.grade)
            standing.sitting += params.n
        trace = outcome.trace if self._traces else None
        await self._journal.write(outcome.record, outcome.cost, trace)


def _cell(search: SearchParams) -> Cell:
    return search.strategy, search.n
