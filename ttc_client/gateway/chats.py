"""Answer chat requests with a search, whole or as a stream."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from ttc_client.gateway.asked import Asked
from ttc_client.gateway.refusals import RefusedError, refusal_of
from ttc_client.gateway.replies import Answered, Fields
from ttc_client.gateway.searches import LOG, Caller, Searches
from ttc_client.gateway.settling import Settling
from ttc_client.gateway.streams import KEEP_ALIVE_S, EventStream, KeepAlive
from ttc_client.gateway.votes import Winner
from ttc_client.middleware.meter import Meter
from ttc_client.report.progress import SearchView
from ttc_client.search.watch import Watch
from ttc_client.together import stopped
from ttc_client.types import Trajectory

_PROGRESS_S = 1.0

Say = Callable[[str], Awaitable[None]]


class Shape(Protocol):
    """What the events of a reply look like, by their names and in order; `idle` says nothing."""

    @property
    def idle(self) -> Fields | None: ...

    @property
    def end(self) -> bytes: ...

    def begun(self) -> Iterator[tuple[str, Fields]]: ...

    def said(self, progress: str) -> Fields: ...

    def opened(self, winner: Winner) -> Iterator[tuple[str, Fields]]: ...

    def rest(self, answered: Answered) -> Iterator[tuple[str, Fields]]: ...

    def failed(self, error: RefusedError) -> tuple[Fields, str]: ...


class Launched(Watch):
    """Tell when the first request of a search goes out, and pass on which samples come."""

    def __init__(self, *watches: Watch) -> None:
        self.event = asyncio.Event()
        self._watches = watches

    def launched(self, parent: Trajectory, n: int) -> None:
        """From here on the conversation is known to fit the model."""
        self.event.set()

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        """Pass it on."""
        for watch in self._watches:
            watch.sampled(parent, n, children)


@dataclass(frozen=True, slots=True)
class Running:
    """A search that runs while its stream is written, and what can be seen of it."""

    task: asyncio.Task[Answered]
    settled: asyncio.Task[Winner]
    view: SearchView

    async def winner(self, say: Say | None) -> Winner | None:
        """Wait until the winner is settled, None if that is at the end alone.

        Says how it is going meanwhile, where somebody wants to hear that.
        """
        last, either = "", (self.task, self.settled)
        while not any(task.done() for task in either):
            timeout_s = _PROGRESS_S if say else None
            done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=FIRST_COMPLETED)
            if say and not done:
                line = " ·".join(str(part) for part in await self.view.lines())
                if line != last:
                    await say(line + "\n")
                last = line
        return None if self.task.done() else self.settled.result()


async def begun(searches: Searches, asked: Asked, caller: Caller, stack: AsyncExitStack) -> Running:
    """Start a search; returns once nothing is left that would refuse it, or ten seconds later.

    Its task is stopped with the stack. Raises what the search raises by then.
    """
    meter = Meter()
    client = searches.client.judging(asked.task)
    ballot = client.ballot(asked.problem, asked.params)
    view, settling = SearchView(asked.params, meter, ballot), Settling(asked, ballot)
    launched = Launched(view, settling)
    task = asyncio.create_task(searches.run(asked, caller, meter, launched, ballot))
    settled = asyncio.create_task(settling.winner())
    waiting = asyncio.create_task(launched.event.wait())
    stack.push_async_callback(stopped, (task, settled, waiting))
    await asyncio.wait((task, waiting), timeout=KEEP_ALIVE_S, return_when=FIRST_COMPLETED)
    if task.done():
        task.result()
    return Running(task, settled, view)


async def stream_search(
    searches: Searches,
    asked: Asked,
    caller: Caller,
    stream: EventStream,
    shape: Shape,
    keep_alive: KeepAlive,
) -> Answered | None:
    """Answer with a stream of events; return the answer, None where an event tells of a failure.

    Raises what is known before the first byte.
    """
    answered = None
    async with AsyncExitStack() as stack:
        running = await begun(searches, asked, caller, stack)

        async def say(text: str) -> None:
            await stream.send(shape.said(text))

        for name, event in shape.begun():
            await stream.send(event, name)
        await stack.enter_async_context(stream.kept_alive(keep_alive, shape.idle))
        try:
            winner = await running.winner(say if asked.progress else None)
            for name, event in shape.opened(winner) if winner else ():
                await stream.send(event, name)
            answered = _as_opened(await running.task, winner)
            for name, event in shape.rest(answered):
                await stream.send(event, name)
        except ConnectionError:
            raise
        except Exception as error:
            await stream.send(*shape.failed(logged(error)))
    await stream.end(shape.end if answered else b"")
    return answered


def _as_opened(answered: Answered, winner: Winner | None) -> Answered:
    """Return the answer; raises RuntimeError if another one was begun: that is a bug."""
    if winner and answered.decision.winners[0].candidate.text != winner.candidate.text:
        raise RuntimeError("the search ended with another winner than was sent")
    return answered


def logged(error: Exception) -> RefusedError:
    """Return what a caller is told, and log what only the operator may know."""
    refusal = refusal_of(error)
    if refusal.status >= 500:
        is_bug = refusal.status == 500
        LOG.warning("%s: %s", type(error).__name__, error, exc_info=error if is_bug else None)
    return refusal
