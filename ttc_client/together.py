"""Several things at once, of which the first failure ends all.

In place of asyncio.TaskGroup, which up to Python 3.12 leaves a task that it failed in marked as
cancelled, so that time-outs around it fail later, and loses a cancellation that comes while it
fails.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

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


async def stopped(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that are not done, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
