"""Run a grid of searches over a problem set, many at once, and keep what each one found.

Knows nothing of the screen; whoever wants to show the run reads its `Standing`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ttc_client.bench.dataset import Problem
from ttc_client.bench.journal import Journal
from ttc_client.middleware.limits import Limiter
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.client import Client
from ttc_client.runtime.records import Cost, Key, Record, Trace, is_right, make_record
from ttc_client.settings.config import SearchConfig
from ttc_client.together import together
from ttc_client.types import Strategy, Usage

_OPEN_PER_SLOT = 2
"""How many candidates are searched for at once, for each sequence that a server may work on.

More than one, since searches also wait for the PRM; few, so that the first problems end first.
"""

_MOST_WORKERS = 4096

Job = tuple[SearchConfig, Problem]


@dataclass(slots=True)
class Standing:
    """How far a run is, while it runs.

    `finished` and `correct` count searches by strategy and N, those of earlier sittings too;
    `correct` is by the vote that decides. `sitting` and `left` count candidates, the former in
    this sitting; `ended` is what its searches spent that have ended, in whatever way.
    """

    num_searches: int
    left: int
    finished: Counter[tuple[Strategy, int]] = field(default_factory=Counter[tuple[Strategy, int]])
    correct: Counter[tuple[Strategy, int]] = field(default_factory=Counter[tuple[Strategy, int]])
    num_failed: int = 0
    ended: Usage = field(default_factory=Usage)
    sitting: int = 0
    running: list[Meter] = field(default_factory=list[Meter])
    latest: tuple[Strategy, int] | None = None
    latest_error: str = ""
    started_s: float = field(default_factory=time.monotonic)

    @property
    def usage(self) -> Usage:
        """What was spent in this sitting, by searches that still run, too."""
        return sum((meter.usage for meter in self.running), self.ended)

    @property
    def elapsed_s(self) -> float:
        """Seconds since this sitting began."""
        return time.monotonic() - self.started_s

    @property
    def eta_s(self) -> float | None:
        """Seconds until the run ends if it goes on as it did; None before the first search."""
        return self.elapsed_s * self.left / self.sitting if self.sitting else None

    def count(self, search: SearchConfig, right: bool) -> None:
        """Count a search that finished."""
        self.latest = (search.strategy, search.n)
        self.finished[self.latest] += 1
        self.correct[self.latest] += right
        self.left -= search.n


class Bench:
    """A run: every problem is put through every search of a plan."""

    def __init__(
        self,
        problems: Sequence[Problem],
        searches: Sequence[SearchConfig],
        journal: Journal,
        *,
        traces: bool = True,
    ) -> None:
        self._plan: list[Job] = [(search, p) for search in searches for p in problems]
        self._journal = journal
        self._traces = traces
        self.standing = Standing(len(self._plan), sum(search.n for search, _ in self._plan))
        for job in self._plan:
            if (right := journal.finished.get(_key(job))) is not None:
                self.standing.count(job[0], right)

    async def run(self, client: Client) -> None:
        """Run the searches that are not finished yet; a search that fails becomes an error record.

        The outcome does not depend on how many run at once. Raises TTCError where the journal
        cannot be written.
        """
        left = [job for job in self._plan if _key(job) not in self._journal.finished]
        room, jobs = Limiter(_OPEN_PER_SLOT * client.capacity), iter(left)
        await together(self._work(client, jobs, room) for _ in left[:_MOST_WORKERS])
        await asyncio.to_thread(self._journal.sort, map(_key, self._plan))

    async def _work(self, client: Client, jobs: Iterator[Job], room: Limiter) -> None:
        for job in jobs:
            async with room.slots(job[0].n):
                await self._search(client, job, room)

    async def _search(self, client: Client, job: Job, room: Limiter) -> None:
        search, problem = job
        meter = Meter(lambda _: room.resize(_OPEN_PER_SLOT * client.capacity))
        standing, key = self.standing, _key(job)
        standing.running.append(meter)
        try:
            result = await client.solve(problem.problem, meter, search)
            answers = [candidate.answer for candidate in result.candidates]
            grades = await client.grade(answers, problem.answer)
        except Exception as error:
            standing.num_failed += 1
            standing.left -= search.n
            standing.latest_error = str(error) or type(error).__name__
            record = Record(**key._asdict(), error=standing.latest_error)
            cost = Cost(**key._asdict(), usage=meter.usage, wall_s=meter.elapsed_s)
            await self._journal.write(record, cost)
        else:
            record = make_record(
                key,
                result.candidates,
                grades,
                compat=search.compat,
                shortfall=result.shortfall,
                allocation=result.allocation,
            )
            cost = Cost(**key._asdict(), usage=result.usage, wall_s=result.wall_s)
            trace = Trace(**key._asdict(), tree=result.tree) if self._traces else None
            await self._journal.write(record, cost, trace)
            standing.count(search, is_right(search.strategy, record.correct, record.allocation))
            standing.sitting += search.n
        finally:
            standing.running.remove(meter)
            standing.ended += meter.usage


def _key(job: Job) -> Key:
    search, problem = job
    return Key(search.strategy, search.n, search.seed, problem.id)
