"""Several at once: results in order, the first failure ends all, no cancellation is lost."""

import asyncio
from contextlib import suppress

import pytest

from ttc_client.deadlines import Deadline
from ttc_client.together import both, stopped, together


async def answer(value: int, turns: int = 0) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(turns: int = 0) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    raise ValueError(f"after {turns}")


async def test_results_come_in_the_order_asked():
    assert await together(answer(i, turns=5 - i) for i in range(5)) == (0, 1, 2, 3, 4)
    assert await together([]) == ()
    assert await both(answer(1), answer(2)) == (1, 2)


async def test_the_first_failure_is_raised_when_the_others_have_ended():
    ended = []

    async def last(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    with pytest.raises(ValueError, match="after 3"):
        await together([last("a"), fail(9), fail(3), last("b")])
    assert ended == ["a", "b"]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_is_never_lost_to_a_failure(turns):
    """At whatever moment it comes."""
    went_on = []

    async def search() -> None:
        try:
            await together([fail(3), answer(1, turns=20)])
        except ValueError:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        went_on.append(True)

    task = asyncio.create_task(search())
    for _ in range(turns):
        await asyncio.sleep(0)
    was_over = task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or was_over
    assert was_over or not went_on


async def test_a_deadline_after_a_failure_is_still_one():
    async def late() -> None:
        async with Deadline(0.01):
            with suppress(ValueError):
                await together([fail(), answer(1, turns=3)])
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await late()


async def test_what_is_stopped_has_ended():
    tasks = [asyncio.create_task(work) for work in (answer(1), fail(), asyncio.sleep(100))]
    await asyncio.sleep(0)
    await stopped(tasks)
    assert [task.done() for task in tasks] == [True] * 3
    assert tasks[0].result() == 1
