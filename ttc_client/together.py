"""Several things at once: all or none of them, or those that succeed, in order.

In place of asyncio.TaskGroup, which up to Python 3.12 leaves a task that it failed in marked as
cancelled, so that time-outs around it fail later, and loses a cancellation that comes while it
fails.
"""

import asyncio
from asyncio.subprocess import Process
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

from ttc_client.errors import ServerError

T = TypeVar("T")
U = TypeVar("U")


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> tuple[T, ...]:
    """Return the results in order; the first failure stops the others and is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    if not tasks:
        return ()
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        ended = [task for task in tasks if task.done() and not task.cancelled()]
        failed = [task for task in ended if task.exception()]
    finally:
        await stopped(tasks)
    return tuple(task.result() for task in failed or tasks)


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Do the same for two whose results are of different kinds."""
    results: tuple[Any, ...] = await together((one, other))
    return results[0], results[1]


async def surviving(
    work: Iterable[Coroutine[Any, Any, T]], *, needed: bool = True
) -> tuple[T, ...]:
    """Return in order the results of those that no server failed.

    Raises if all failed and one is `needed`. Any other error stops all of them and is raised.
    """
    found: list[T] = []
    try:
        async with in_order(work) as results:
            found = [result async for result in results]
    except ServerError:
        if needed:
            raise
    return tuple(found)


@asynccontextmanager
async def in_order(
    work: Iterable[Coroutine[Any, Any, T]], window: int | None = None
) -> AsyncGenerator[AsyncIterator[T]]:
    """Give the results in order; on leaving, what has not been taken is stopped.

    At most `window` run at a time, all of them if it is None. What a server failed is left out,
    in its turn; its ServerError is raised at the end if nothing else was given. Any other error is
    raised in its turn.
    """
    waiting = iter(work)
    running = deque(asyncio.create_task(each) for each in islice(waiting, window))

    def turns() -> Generator[asyncio.Task[T]]:
        while running:
            yield running[0]
            running.popleft()
            running.extend(asyncio.create_task(each) for each in islice(waiting, 1))

    given = _given(turns())
    try:
        yield given
    finally:
        await given.aclose()
        await stopped(running)
        if isinstance(waiting, Generator):
            waiting.close()
        else:
            for each in waiting:
                each.close()


@asynccontextmanager
async def as_finished(
    work: Iterable[Coroutine[Any, Any, T]],
) -> AsyncGenerator[AsyncIterator[T]]:
    """Do the same with all at once, in the order in which they end."""
    tasks = [asyncio.create_task(each) for each in work]
    ended: asyncio.Queue[asyncio.Task[T]] = asyncio.Queue()
    for task in tasks:
        task.add_done_callback(ended.put_nowait)

    async def next_one() -> T:
        return (await ended.get()).result()

    given = _given(next_one() for _ in tasks)
    try:
        yield given
    finally:
        await given.aclose()
        await stopped(tasks)


async def _given(results: Iterable[Awaitable[T]]) -> AsyncGenerator[T]:
    """Yield results one by one; raise the first ServerError at the end if there were none."""
    failure: ServerError | None = None
    any_given = False
    for each in results:
        try:
            result = await each
        except ServerError as error:
            failure = failure or error
        else:
            any_given = True
            yield result
    if failure and not any_given:
        raise failure


async def gone(process: Process) -> None:
    """Wait until a killed process is gone and its pipes are closed."""
    with suppress(OSError):
        if process.stdin:
            process.stdin.close()
        await process.communicate()
        if process.stdin:
            await process.stdin.wait_closed()


async def stopped(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that are not done, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
