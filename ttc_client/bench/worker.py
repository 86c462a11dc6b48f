"""Search on another machine: what a worker does with the jobs that are leased to it.

Everything it has to say is the result of a call; it writes no files and prints nothing. Knows
nothing of the engine that runs it.
"""

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version

from ttc_client.errors import ConfigError, TTCError
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.client import Client
from ttc_client.runtime.evaluate import Job, Outcome, evaluate
from ttc_client.search.params import SearchParams
from ttc_client.settings.servers import Servers
from ttc_client.tasks.task import Task
from ttc_client.together import stopped
from ttc_client.types import Usage

REPORT_S = 1.0
"""A worker answers after so long at the latest, whether anything has ended or not."""


@dataclass(frozen=True, slots=True)
class Work:
    """What all workers of a run need: plain data, which travels.

    `servers` holds the API keys. `num_workers` share the servers.
    """

    servers: Servers
    task: Task
    searches: tuple[SearchParams, ...]
    num_workers: int


@dataclass(frozen=True, slots=True)
class Hello:
    """How a worker opened: its models, or the error that kept it from that.

    `is_final` tells an error that every other worker would meet too.
    """

    version: str
    models: Mapping[str, str | None]
    capacity: int = 0
    error: str = ""
    is_final: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What ended since the last report, by the jobs' numbers; what the others have spent so far.

    `capacity` is how many sequences may be in flight at the policy, as this worker finds.
    """

    outcomes: tuple[tuple[int, Outcome], ...]
    usage: Usage
    capacity: int


class Worker:
    """Run jobs with one client for its life."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._resources = AsyncExitStack()
        self._running: dict[int, tuple[Meter, asyncio.Task[Outcome]]] = {}

    async def open(self) -> Hello:
        """Open the servers."""
        work = self._work
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("default")
            try:
                client = Client(work.servers, work.task, share=work.num_workers)
                self._client = await self._resources.enter_async_context(client)
                for params in work.searches:
                    self._client.check(params)
            except (TTCError, OSError) as error:
                is_final = isinstance(error, ConfigError)
                return Hello(_version(), {}, error=str(error), is_final=is_final)
        said = dict.fromkeys(str(each.message) for each in warned)
        client = self._client
        return Hello(_version(), client.models, client.capacity, warnings=tuple(said))

    async def exchange(self, jobs: Sequence[tuple[int, Job]]) -> Report:
        """Take on more jobs, and tell what ended; waits for that, but not for long."""
        for number, job in jobs:
            meter = Meter()
            task = asyncio.create_task(evaluate(self._client, job, meter))
            self._running[number] = meter, task
        if self._running:
            tasks = [task for _, task in self._running.values()]
            await asyncio.wait(tasks, timeout=REPORT_S, return_when=asyncio.FIRST_COMPLETED)
        ended = [number for number, (_, task) in self._running.items() if task.done()]
        outcomes = tuple((number, self._running.pop(number)[1].result()) for number in ended)
        usage = sum((meter.usage for meter, _ in self._running.values()), Usage())
        return Report(outcomes, usage, self._client.capacity)

    async def close(self) -> None:
        """Stop what is running, and close the servers."""
        await stopped([task for _, task in self._running.values()])
        await self._resources.aclose()


def _version() -> str:
    return version("ttc-client")
