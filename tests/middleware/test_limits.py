"""The limiter: how many at once, in which order, and nothing left behind."""

import asyncio
from contextvars import copy_context

import pytest

from tests.fakes.virtual_time import settle
from tests.middleware.requests import Request, passing
from ttc_client.errors import TransientServerError
from ttc_client.middleware.context import taking_turns
from ttc_client.middleware.levels import START, Level
from ttc_client.middleware.limits import Limiter, MovedError, levelled, limited


class Door:
    """A port behind a limiter that holds each request until it is let go."""

    def __init__(self, capacity: int) -> None:
        self.limiter = Limiter(capacity)
        self.entered: list[Request] = []
        self.release: dict[Request, asyncio.Event] = {}
        self.call = limited(self.hold, self.limiter)

    async def hold(self, request: Request) -> None:
        self.entered.append(request)
        await self.release.setdefault(request, asyncio.Event()).wait()

    def start(self, *requests: Request) -> list[asyncio.Task]:
        return [asyncio.create_task(self.call(request)) for request in requests]

    async def let_go(self, request: Request) -> None:
        self.release.setdefault(request, asyncio.Event()).set()
        await settle()


async def test_it_bounds_sequences_and_serves_in_order():
    door = Door(4)
    a, b, c, d = [Request(n, session=str(n)) for n in (3, 2, 1, 9)]
    tasks = door.start(a, b, c, d)
    await settle()
    assert door.entered == [a]  # b does not fit, and c waits its turn
    await door.let_go(a)
    assert door.entered == [a, b, c]
    await door.let_go(b)
    assert door.entered == [a, b, c]
    await door.let_go(c)
    assert door.entered == [a, b, c, d]  # larger than the limit: alone
    await door.let_go(d)
    await asyncio.gather(*tasks)
    assert door.limiter.in_flight == 0


async def test_searches_that_began_first_come_first():
    door = Door(1)
    first = Request(session="first")
    tasks = door.start(first)
    await settle()
    early, late = [[Request(session=f"{name}{i}") for i in range(3)] for name in "ab"]
    contexts = []
    for _ in range(2):
        with taking_turns():
            contexts.append(copy_context())
    for pair in zip(late, early, strict=True):  # those of the later search are there first
        for request, context in zip(pair, reversed(contexts), strict=True):
            tasks.append(asyncio.create_task(door.call(request), context=context))
    for _ in tasks:
        await settle()
        await door.let_go(door.entered[-1])
    await asyncio.gather(*tasks)
    assert door.entered == [first, *early, *late]


async def test_ten_thousand_cancelled_waiters_leave_nothing_even_behind_one_that_stays():
    door = Door(1)
    tasks = door.start(Request(session="holds"), Request(session="stays"))
    stuck = door.start(*[Request(session=str(i)) for i in range(10_000)])
    await settle()
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    assert len(door.limiter._waiting) <= 2
    for request in [Request(session="holds"), Request(session="stays")]:
        await door.let_go(request)
    await asyncio.gather(*tasks)
    assert door.limiter.in_flight == 0
    assert not door.limiter._waiting


async def test_a_wider_bound_lets_more_in_at_once():
    door = Door(1)
    requests = [Request(session=str(i)) for i in range(4)]
    tasks = door.start(*requests)
    await settle()
    door.limiter.resize(3)
    await settle()
    assert door.entered == requests[:3]
    for request in requests:
        await door.let_go(request)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(("status", "lowered"), [(429, True), (503, True), (500, False)])
async def test_what_an_overloaded_server_refuses_is_withheld(status, lowered):
    async def port(_: Request) -> int:
        raise passing(status=status)

    level = Level()
    limiter = Limiter(level.capacity)
    for _ in range(10):
        with pytest.raises(TransientServerError):
            await levelled(port, limiter, level, int)(Request())
    assert (limiter.capacity < START) == (level.capacity < START) == lowered
    assert limiter.in_flight == 0


async def test_only_the_time_in_which_requests_wait_counts():
    async def port(_: Request) -> int:
        await asyncio.sleep(1)
        return 1

    limiter = Limiter(2)
    call = limited(port, limiter)
    await call(Request())
    assert limiter.full_s == 0
    await asyncio.gather(*(call(Request(session=str(i))) for i in range(6)))
    assert limiter.full_s == 2
    await call(Request())
    assert limiter.full_s == 2


async def test_cancelled_waiters_leave_no_slot_behind():
    door = Door(2)
    first, small = Request(session="first"), Request(session="small")
    (holder,) = door.start(first)
    stuck = door.start(*[Request(2, session=str(i)) for i in range(500)])
    (last,) = door.start(small)
    await settle()
    assert door.entered == [first]
    for task in stuck:
        task.cancel()
    await settle()
    assert door.entered == [first, small]  # no longer behind them
    await door.let_go(first)
    await door.let_go(small)
    await asyncio.gather(holder, last)
    assert door.limiter.in_flight == 0
    assert not door.limiter._waiting


async def test_a_slot_granted_to_a_request_cancelled_at_that_moment_is_returned():
    door = Door(1)
    first, second = Request(session="1"), Request(session="2")
    holder, waiter = door.start(first, second)
    await settle()
    door.release[first].set()
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    assert door.limiter.in_flight == 0


def two_doors() -> tuple[Door, Door]:
    one, other = doors = Door(2), Door(2)
    other.limiter.peers = one.limiter.peers
    other.limiter.admit()
    return doors


async def test_what_finds_its_replica_full_has_slots_at_one_with_room():
    one, other = two_doors()
    a, b, c = [Request(2, session=name) for name in "abc"]
    tasks = one.start(a, b)
    await settle()
    with pytest.raises(MovedError) as moved:
        await tasks[1]
    assert moved.value.limiter is other.limiter
    assert other.limiter.in_flight == 2
    waiting = one.start(c)
    await settle()
    assert not waiting[0].done()  # there is no room anywhere
    await one.let_go(a)
    assert one.entered == [a, c]


async def test_what_waits_moves_once_another_replica_is_idle_the_oldest_search_first():
    one, other = two_doors()
    held = [Request(2, session=name) for name in "ab"]
    tasks = [*one.start(held[0]), *other.start(held[1])]
    await settle()
    searches = {name: copy_context() for name in ("old", "new")}
    for context in searches.values():
        context.run(lambda: taking_turns().__enter__())
    waiting = {
        name: asyncio.create_task(one.call(Request(1, session=name)), context=searches[name])
        for name in ("new", "old")
    }
    await settle()
    other.limiter.resize(1)
    await other.let_go(held[1])
    with pytest.raises(MovedError):
        await waiting["old"]
    assert not waiting["new"].done()
    await one.let_go(held[0])
    assert [request.session for request in one.entered] == ["a", "new"]
    waiting["new"].cancel()
    await asyncio.gather(*tasks, *waiting.values(), return_exceptions=True)


async def test_a_request_that_is_cancelled_as_it_moves_leaves_no_slot_taken():
    one, other = two_doors()
    held = [Request(2, session=name) for name in "ab"]
    tasks = [*one.start(held[0]), *other.start(held[1])]
    await settle()
    (waiting,) = one.start(Request(2, session="c"))
    await settle()
    other.release[held[1]].set()
    while other.limiter.in_flight and not waiting.cancelling():
        await asyncio.sleep(0)
        if one.limiter.head() is None:  # it holds slots of the other, and does not know it yet
            waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert other.limiter.in_flight == 0
    await one.let_go(held[0])
    await asyncio.gather(*tasks)


async def test_one_that_is_closed_takes_nothing_and_what_must_stay_stays():
    one, other = two_doors()
    other.limiter.closed = True
    other.limiter.admit()
    a, b = [Request(2, session=name) for name in "ab"]
    tasks = one.start(a, b)
    await settle()
    assert [task.done() for task in tasks] == [False, False]
    other.limiter.closed = False
    other.limiter.admit()
    with pytest.raises(MovedError):
        await tasks[1]
    other.limiter.release(2)
    staying = asyncio.create_task(one.limiter.acquire(2))
    await settle()
    assert not staying.done()
    await one.let_go(a)
    await staying
