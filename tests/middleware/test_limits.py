"""The limiter: how many at once, in which order, and nothing left behind."""

import asyncio

from tests.middleware.requests import Request
from tests.virtual_time import settle
from ttc_client.middleware.limits import Limiter, limited


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


async def test_problems_that_began_first_come_first():
    door = Door(1)
    requests = [Request(session=f"{p}{i}", problem=p) for i in range(3) for p in "abc"]
    tasks = door.start(*requests)
    for _ in requests:
        await settle()
        await door.let_go(door.entered[-1])
    await asyncio.gather(*tasks)
    assert "".join(request.problem for request in door.entered) == "aaabbbccc"


async def test_problems_that_are_long_done_are_forgotten(monkeypatch):
    monkeypatch.setattr("ttc_client.middleware.limits._PROBLEMS_KEPT", 3)
    limiter = Limiter(1)
    for problem in "abcdefg":
        async with limiter.slots(1, problem):
            pass
    assert len(limiter._turns) == 3
    door = Door(1)
    door.limiter = limiter
    door.call = limited(door.hold, limiter)
    tasks = door.start(*[Request(session=f"{i}", problem=p) for i, p in enumerate("eghf")])
    for _ in tasks:
        await settle()
        await door.let_go(door.entered[-1])
    await asyncio.gather(*tasks)
    assert "".join(request.problem for request in door.entered) == "efgh"


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
