"""Several requests at once, of which the first failure ends all."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


async def together(requests: Iterable[Coroutine[Any, Any, T]]) -> tuple[T, ...]:
    """Return the answers in order; the first failure closes the other requests and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(request) for request in requests]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return tuple(task.result() for task in tasks)


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Do the same for two that are answered differently."""
    answers: tuple[Any, ...] = await together((one, other))
    return answers[0], answers[1]
