"""Searches whose requests are answered one by one, in some order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ttc_client.search.ports import SampleRequest
from ttc_client.together import stopped

_TURNS_TO_SETTLE = 30


@asynccontextmanager
async def answered_in(order: int) -> AsyncIterator[Callable[[SampleRequest], asyncio.Event]]:
    """Give a gate for a scripted policy; `order` seeds which waiting request is let through."""
    waiting: list[asyncio.Event] = []

    def gate(_: SampleRequest) -> asyncio.Event:
        waiting.append(asyncio.Event())
        return waiting[-1]

    async def reply() -> None:
        rng = random.Random(order)
        while True:
            for _ in range(_TURNS_TO_SETTLE):
                await asyncio.sleep(0)
            if waiting:
                waiting.pop(rng.randrange(len(waiting))).set()

    replying = asyncio.create_task(reply())
    try:
        yield gate
    finally:
        await stopped([replying])
