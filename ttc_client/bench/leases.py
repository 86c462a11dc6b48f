"""Have workers on other machines run the jobs of a bench, whatever becomes of the workers.

Each job is leased to one worker at a time. A worker that fails, or says nothing for as long as a
lease runs, is given up: its jobs go back, and another is hired in its place. Its death costs
repeated work, and never a row, since only who calls this writes files. Knows no engine: `hire`
makes a worker, wherever it runs.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from ttc_client.bench.worker import Hello, Report, Work
from ttc_client.errors import ConfigError, TTCError
from ttc_client.runtime.evaluate import Job, Outcome, failed
from ttc_client.together import stopped
from ttc_client.types import Usage

OPEN_PER_SLOT = 2
"""How many candidates are searched for at once, for each sequence that a server may work on.

More than one, since searches also wait for the PRM; few, so that the first problems end first.
"""
_LEASE_S = 60.0
"""A worker reports every second: one that says nothing for this long is as good as gone."""
_FIRST_S = 300.0
"""The first worker has to open within this; the others may wait for a machine."""
_SLOW_S = 20.0
"""Workers that have not opened by then are spoken of, and no work is kept for them."""
_CLOSING_S = 5.0
_PAUSE_S = 1.0
_ATTEMPTS = 3
"""A place that lost so many workers in a row, before any job of theirs ended, stays empty."""
_LOSSES = 5
"""A job that so many workers were lost with has failed: it may be what kills them."""


class Hired(Protocol):
    """A worker somewhere. Its calls raise any exception once it is gone."""

    async def open(self) -> Hello: ...
    async def exchange(self, jobs: Sequence[tuple[int, Job]]) -> Report: ...
    async def close(self) -> None: ...


Hire = Callable[[Work], Hired]
Keep = Callable[[Job, Outcome], Awaitable[None]]
Say = Callable[[str], None]


@dataclass(slots=True, eq=False)
class _Lease:
    number: int
    job: Job
    losses: int = 0


@dataclass(slots=True, eq=False)
class _Place:
    """Where one worker works after the other; `usage` is what its running searches have spent."""

    number: int
    is_open: bool = False
    has_worked: bool = False
    capacity: int = 0
    usage: Usage = field(default_factory=Usage)
    leases: dict[int, _Lease] = field(default_factory=dict[int, _Lease])


class _GoneError(Exception):
    """A worker that cannot be worked with, for the reason that the message says."""


class Fleet:
    """The workers of a run, each in its place; `models` are those that the first one found."""

    def __init__(self, hire: Hire, work: Work, say: Say) -> None:
        self._hire, self._work, self._say = hire, work, say
        self.places = [_Place(number) for number in range(1, work.num_workers + 1)]
        self._queue: deque[_Lease] = deque()
        self._num_left = 0
        self._keep: Keep | None = None
        self._changed = asyncio.Event()
        self._said: set[str] = set()
        self._is_slow = False
        self._lost = Usage()
        self.models: Mapping[str, str | None] = {}
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()

    @property
    def usage(self) -> Usage:
        """What the searches have spent that are running, and those that were lost."""
        return sum((place.usage for place in self.places), self._lost)

    async def run(self, jobs: Sequence[Job], keep: Keep) -> None:
        """Run jobs, and have each outcome kept, once; raises TTCError if no worker is left."""
        self._queue.extend(_Lease(number, job) for number, job in enumerate(jobs))
        self._num_left, self._keep = len(jobs), keep
        if jobs:
            self._wake()
            await self.over

    async def opened(self) -> None:
        """Wait for the first worker. Raises TTCError if none opens in time."""
        try:
            async with asyncio.timeout(_FIRST_S):
                await self.first
        except TimeoutError:
            raise TTCError(
                f"none of {len(self.places)} workers has found a machine within {_FIRST_S:.0f} s: "
                "ask for fewer, or see what holds the cluster's cores"
            ) from None

    async def hold(self, place: _Place) -> None:
        """Keep a worker in a place until the run is over."""
        attempts = 0
        while attempts < _ATTEMPTS:
            worker = self._hire(self._work)
            try:
                await self._open(place, worker)
                await self._serve(place, worker)
            except TTCError:
                raise
            except Exception as error:  # whatever the engine raises for a worker that is gone
                attempts = 1 if place.has_worked else attempts + 1
                await self._take_back(place, error)
                await asyncio.sleep(_PAUSE_S)
            finally:
                with suppress(Exception):
                    async with asyncio.timeout(_CLOSING_S):
                        await worker.close()

    async def watch(self) -> None:
        """Say how many workers have no machine yet, when that changes."""
        told = 0
        while True:
            await asyncio.sleep(_SLOW_S)
            self._is_slow = True
            waiting = sum(not place.is_open for place in self.places)
            if waiting and waiting != told:
                self._say(f"{waiting} of {len(self.places)} workers wait for a machine")
            told = waiting

    def ended(self, places: Sequence[asyncio.Task[None]]) -> None:
        """Take note that a place was left: with an error of the run, or for good."""
        errors = [e for t in places if t.done() and not t.cancelled() and (e := t.exception())]
        if not errors and all(task.done() for task in places):
            lost = "all workers are lost; what has ended is on disk, and --resume goes on"
            errors = [TTCError(lost)]
        for future in (self.first, self.over):
            if errors and not future.done():
                future.set_exception(errors[0])

    async def _open(self, place: _Place, worker: Hired) -> None:
        hello, ours = await worker.open(), version("ttc-client")
        if hello.is_final:
            raise ConfigError(f"worker {place.number}: {hello.error}")
        if hello.error:
            raise _GoneError(hello.error)
        if hello.version != ours:
            raise ConfigError(f"worker {place.number} has ttc-client {hello.version}, not {ours}")
        if self.models and hello.models != self.models:
            raise _GoneError(f"it finds the models {hello.models}, others {self.models}")
        for said in hello.warnings:
            self._say_once(said)
        self.models = hello.models
        place.is_open, place.has_worked, place.capacity = True, False, hello.capacity
        if not self.first.done():
            self.first.set_result(None)

    async def _serve(self, place: _Place, worker: Hired) -> None:
        """Lease jobs to a worker and keep what it reports; raises when it is gone."""
        while True:
            block = self._leased(place)
            if not place.leases:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout(_LEASE_S):
                    report = await worker.exchange(block)
            except TimeoutError:
                raise _GoneError(f"it has said nothing for {_LEASE_S:.0f} s") from None
            place.usage, place.capacity = report.usage, report.capacity
            for number, outcome in report.outcomes:
                place.has_worked = True
                await self._end(place.leases.pop(number).job, outcome)

    def _leased(self, place: _Place) -> list[tuple[int, Job]]:
        """Lease a worker as many more jobs as it has room for, and not more than its share."""
        places = [other for other in self.places if other.is_open or not self._is_slow]
        share = -(-self._num_left // len(places))
        room = OPEN_PER_SLOT * place.capacity - sum(a.job.params.n for a in place.leases.values())
        block: list[tuple[int, Job]] = []
        while self._queue and len(place.leases) < share:
            room -= self._queue[0].job.params.n
            if room < 0 and place.leases:
                break
            lease = self._queue.popleft()
            place.leases[lease.number] = lease
            block.append((lease.number, lease.job))
        return block

    async def _take_back(self, place: _Place, error: Exception) -> None:
        """Put the jobs of a worker that is gone back to the front of the queue."""
        why = str(error) or type(error).__name__
        leases, place.leases, place.is_open = [*place.leases.values()], {}, False
        back = f": its {len(leases)} searches go back" if leases else ""
        self._say(f"worker {place.number} is lost ({why.strip().splitlines()[0]}){back}")
        self._lost, place.usage = self._lost + place.usage, Usage()
        for lease in reversed(leases):
            lease.losses += 1
            if lease.losses < _LOSSES:
                self._queue.appendleft(lease)
            else:
                lost = TTCError(f"{_LOSSES} workers were lost with it, the last one: {why}")
                await self._end(lease.job, failed(lease.job, lost))
        self._wake()

    async def _end(self, job: Job, outcome: Outcome) -> None:
        assert self._keep is not None
        await self._keep(job, outcome)
        self._num_left -= 1
        if not self._num_left and not self.over.done():
            self.over.set_result(None)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _wake(self) -> None:
        self._changed.set()
        self._changed.clear()


@asynccontextmanager
async def employ(hire: Hire, work: Work, say: Say) -> AsyncGenerator[Fleet]:
    """Hire workers, and let them go in the end; `say` is told what the user should know.

    Raises ConfigError for settings that no worker can open with, and TTCError if none opens.
    """
    fleet = Fleet(hire, work, say)
    places = [asyncio.create_task(fleet.hold(place)) for place in fleet.places]
    for task in places:
        task.add_done_callback(lambda _: fleet.ended(places))
    watch = asyncio.create_task(fleet.watch())
    try:
        await fleet.opened()
        yield fleet
    finally:
        fleet.first.cancel()
        fleet.over.cancel()
        await stopped([watch, *places])
