"""The wrappers: limits, retries and replicas."""

import asyncio
from dataclasses import dataclass

import pytest

from ttc_client import middleware
from ttc_client.errors import RequestError, TransientServerError
from ttc_client.middleware import Limiter, Replica, balanced, limited, retrying


@dataclass(frozen=True)
class Request:
    num_sequences: int = 1
    session: str = "s"


def passing(**more) -> TransientServerError:
    return TransientServerError("busy", url="http://x", **more)


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Skip the pauses between attempts, and record them."""
    seen: list[float] = []
    sleep = asyncio.sleep

    async def skip(seconds: float) -> None:
        seen.append(seconds)
        await sleep(0)

    monkeypatch.setattr(middleware.asyncio, "sleep", skip)
    return seen


async def test_the_limiter_bounds_sequences_and_serves_in_order():
    limiter, running, order = Limiter(4), [], []
    gates = [asyncio.Event() for _ in range(4)]

    async def port(index: int) -> None:
        async with limiter.slots([3, 2, 1, 9][index]):
            running.append(index)
            order.append(index)
            await gates[index].wait()
            running.remove(index)

    async with asyncio.TaskGroup() as group:
        for index in range(4):
            group.create_task(port(index))
        await settle()
        assert running == [0]  # 2 more do not fit, and 1 waits its turn
        gates[0].set()
        await settle()
        assert running == [1, 2]
        gates[1].set()
        gates[2].set()
        await settle()
        assert running == [3]  # larger than the limit: alone
        gates[3].set()
    assert order == [0, 1, 2, 3]
    assert limiter.in_flight == 0


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_cancelled_waiters_leave_no_slot_behind():
    limiter = Limiter(2)

    async def hold(event: asyncio.Event, weight: int) -> None:
        async with limiter.slots(weight):
            await event.wait()

    release = asyncio.Event()
    first = asyncio.create_task(hold(release, 1))
    stuck = [asyncio.create_task(hold(release, 2)) for _ in range(500)]
    small = asyncio.create_task(hold(release, 1))
    await settle()
    assert limiter.in_flight == 1
    for task in stuck:
        task.cancel()
    await settle()
    assert limiter.in_flight == 2  # the small one is no longer behind them
    release.set()
    await asyncio.gather(first, small)
    assert limiter.in_flight == 0


async def test_a_slot_granted_to_a_request_cancelled_at_that_moment_is_returned():
    limiter, release = Limiter(1), asyncio.Event()

    async def hold() -> None:
        async with limiter.slots(1):
            await release.wait()

    holder, waiter = asyncio.create_task(hold()), asyncio.create_task(hold())
    await settle()
    release.set()
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    assert limiter.in_flight == 0


async def test_what_may_pass_is_tried_again(pauses):
    answers = iter([passing(), passing(retry_after_s=7.0), "fine"])
    seen = []

    async def port(request: Request) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await retrying(port, 60, seen.append)(Request()) == "fine"
    assert len(seen) == 2
    assert 0.25 <= pauses[0] <= 0.75
    assert pauses[1] == 7.0


async def test_what_cannot_pass_is_not_tried_again():
    calls = []

    async def port(request: Request) -> str:
        calls.append(request)
        raise RequestError("no", url="http://x", status=400)

    with pytest.raises(RequestError):
        await retrying(port, 60, lambda error: None)(Request())
    assert len(calls) == 1


async def test_a_server_that_fails_for_ever_ends_in_its_error(pauses):
    async def port(request: Request) -> str:
        raise passing(status=500)

    with pytest.raises(TransientServerError):
        await retrying(port, 1e9, lambda error: None)(Request())
    assert len(pauses) == middleware.MAX_ATTEMPTS - 1
    with pytest.raises(TransientServerError):
        await retrying(port, 0.0, lambda error: None)(Request())
    assert len(pauses) == middleware.MAX_ATTEMPTS - 1


async def test_a_backing_off_request_holds_no_slot(monkeypatch):
    limiter, held = Limiter(1), []

    async def watch(seconds: float) -> None:
        held.append(limiter.in_flight)

    monkeypatch.setattr(middleware.asyncio, "sleep", watch)

    async def port(request: Request) -> str:
        if not held:
            raise passing()
        return "fine"

    await retrying(limited(port, limiter), 60, lambda error: None)(Request())
    assert held == [0]


async def test_sessions_stay_with_their_replica_and_spread_over_all():
    seen: dict[str, set[str]] = {}

    def port(name: str):
        async def call(request: Request) -> str:
            seen.setdefault(request.session, set()).add(name)
            return name

        return call

    call = balanced([(Replica(f"http://{name}"), port(name)) for name in "abc"])
    for _ in range(3):
        for session in range(60):
            await call(Request(session=str(session)))
    assert all(len(names) == 1 for names in seen.values())
    counts = [sum(name in names for names in seen.values()) for name in "abc"]
    assert min(counts) >= 8


async def test_a_replica_that_fails_is_set_aside_and_comes_back(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(middleware.time, "monotonic", lambda: clock[0])
    alive = False

    async def first(request: Request) -> str:
        if not alive:
            raise passing()
        return "first"

    async def second(request: Request) -> str:
        return "second"

    replicas = [(Replica("http://a"), first), (Replica("http://b"), second)]
    call = retrying(balanced(replicas), 60, lambda error: None)
    session = next(
        str(i)
        for i in range(100)
        if replicas[0][0].affinity(str(i)) > replicas[1][0].affinity(str(i))
    )
    assert await call(Request(session=session)) == "second"
    alive = True
    assert await call(Request(session=session)) == "second"
    clock[0] += 60
    assert await call(Request(session=session)) == "first"


async def test_an_overloaded_replica_passes_work_on():
    release = asyncio.Event()
    homes: list[str] = []

    def port(name: str):
        async def call(request: Request) -> None:
            homes.append(name)
            await release.wait()

        return call

    call = balanced([(Replica(f"http://{name}"), port(name)) for name in "ab"])
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(call(Request(4, session="one")))
        await settle()
        assert 2 <= homes.count("a") <= 10
        release.set()
