"""Several at once: results in order, the first failure ends all, no cancellation is lost."""

import asyncio
from contextlib import suppress

import pytest

from ttc_client.deadlines import Deadline
from ttc_client.errors import ServerError, TTCError
from ttc_client.together import as_finished, both, in_order, stopped, surviving, together


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
        with Deadline(0.01):
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


def refusal(name: str) -> ServerError:
    return ServerError(name, url="http://x", status=500)


class Crew:
    """Workers that note when they begin, and end when they are told to."""

    def __init__(self, count: int) -> None:
        self.begun: list[int] = []
        self.closed: list[int] = []
        self.told = [asyncio.Event() for _ in range(count)]
        self.failures: dict[int, Exception] = {}

    async def work(self, number: int) -> int:
        self.begun.append(number)
        try:
            await self.told[number].wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.closed.append(number)
            raise
        if number in self.failures:
            raise self.failures[number]
        return number

    def all(self):
        return (self.work(number) for number in range(len(self.told)))

    def tell(self, *numbers: int) -> None:
        for number in numbers:
            self.told[number].set()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_results_are_given_in_order_whatever_ends_first():
    crew = Crew(5)
    given = []

    async def take() -> None:
        async with in_order(crew.all()) as results:
            async for result in results:
                given.append(result)

    taking = asyncio.create_task(take())
    await settle()
    assert crew.begun == [0, 1, 2, 3, 4]
    crew.tell(4, 2, 1)
    await settle()
    assert given == []
    crew.tell(0)
    await settle()
    assert given == [0, 1, 2]
    crew.tell(3)
    await taking
    assert given == [0, 1, 2, 3, 4]


async def test_no_more_than_a_window_runs_ahead():
    crew = Crew(6)

    async def take() -> list[int]:
        async with in_order(crew.all(), window=2) as results:
            return [result async for result in results]

    taking = asyncio.create_task(take())
    await settle()
    assert crew.begun == [0, 1]
    crew.tell(1)
    await settle()
    assert crew.begun == [0, 1], "the second one's end makes no room while the first one runs"
    crew.tell(0)
    await settle()
    assert crew.begun == [0, 1, 2, 3]
    crew.tell(2, 3, 4, 5)
    assert await taking == [0, 1, 2, 3, 4, 5]


async def test_on_leaving_the_rest_is_closed_before_anything_goes_on():
    crew = Crew(6)
    crew.tell(0, 1)
    async with in_order(crew.all(), window=4) as results:
        async for result in results:
            if result == 1:
                break
    assert crew.closed == [2, 3]
    assert crew.begun == [0, 1, 2, 3]
    assert len(asyncio.all_tasks()) == 1


async def test_what_was_never_begun_is_closed_too():
    """Coroutines of a list would warn that they were never awaited."""
    crew = Crew(4)
    crew.tell(0)
    async with in_order([crew.work(number) for number in range(4)], window=1) as results:
        async for _ in results:
            break
    assert crew.begun == [0]


async def test_a_failure_counts_in_its_turn_and_only_if_that_comes():
    crew = Crew(4)
    crew.failures = {2: ValueError("the third")}
    crew.tell(0, 1, 2)
    given = []

    async def take() -> None:
        async with in_order(crew.all()) as results:
            async for result in results:
                given.append(result)

    with pytest.raises(ValueError, match="the third"):
        await take()
    assert given == [0, 1]
    assert crew.closed == [3]
    crew = Crew(4)
    crew.failures = {2: ValueError("the third")}
    crew.tell(0, 1, 2, 3)
    async with in_order(crew.all()) as results:
        async for result in results:
            if result == 1:
                break


async def test_what_a_server_failed_is_left_out_unless_that_is_all():
    crew = Crew(4)
    crew.failures = {0: refusal("a"), 2: refusal("b")}
    crew.tell(0, 1, 2, 3)
    assert await surviving(crew.all()) == (1, 3)
    crew = Crew(3)
    crew.failures = {number: refusal(f"failed {number}") for number in range(3)}
    crew.tell(0, 1, 2)
    with pytest.raises(ServerError, match="failed 0"):
        await surviving(crew.all())
    assert await surviving([]) == ()


@pytest.mark.parametrize("error", [ValueError("no"), TTCError("no")])
async def test_any_other_error_stops_all(error):
    crew = Crew(3)
    crew.failures = {0: error}
    crew.tell(0)
    with pytest.raises(type(error), match="no"):
        await surviving(crew.all())
    assert crew.closed == [1, 2]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("turns", range(8))
async def test_cancelling_who_waits_closes_all_that_runs(turns):
    crew = Crew(3)
    crew.tell(0)
    task = asyncio.create_task(surviving(crew.all()))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert set(crew.closed) == set(crew.begun) - {0} or crew.closed == crew.begun
    assert len(asyncio.all_tasks()) == 1


async def test_results_come_as_they_end_and_what_is_left_is_stopped():
    ended = []

    async def hang() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return 0

    async with as_finished([hang(), answer(1, 9), answer(2, 3), answer(3), hang()]) as results:
        assert [await anext(results) for _ in range(3)] == [3, 2, 1]
    assert len(ended) == 2
    assert len(asyncio.all_tasks()) == 1


async def test_of_what_ends_a_servers_failure_is_left_out_unless_it_is_all():
    async def gone() -> int:
        raise ServerError("gone", url="http://nowhere", status=500)

    async with as_finished([gone(), answer(1)]) as results:
        assert [result async for result in results] == [1]
    with pytest.raises(ServerError, match="gone"):
        async with as_finished([gone(), gone()]) as results:
            assert [result async for result in results]
    with pytest.raises(ValueError, match="after 2"):
        async with as_finished([fail(2), answer(1, 9)]) as results:
            assert [result async for result in results]
