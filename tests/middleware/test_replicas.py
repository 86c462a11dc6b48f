"""Replicas: who gets which request, and what becomes of one that fails."""

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from tests.fakes.virtual_time import now, settle
from tests.middleware.requests import Request, passing, spread
from ttc_client.errors import RequestError, TransientServerError
from ttc_client.middleware.limits import Limiter, Peers, limited
from ttc_client.middleware.replica import Replica, unless_gone
from ttc_client.middleware.replicas import Replicas, balanced
from ttc_client.middleware.retries import RetryBudget, retrying


class Cluster:
    """Replicas that answer after a second with their name, unless they are down."""

    def __init__(self, names: str, seconds: float = 1.0) -> None:
        self.replicas = Replicas([Replica(name) for name in names])
        self.down: set[str] = set()
        self.seconds = seconds
        self.asked: list[tuple[float, str]] = []
        self.fails = passing
        self.call = spread(self.replicas, [self.port(name) for name in names])

    def port(self, name: str):
        async def call(request: Request) -> str:
            self.asked.append((now(), name))
            if name in self.down:
                raise self.fails()
            await asyncio.sleep(self.seconds)
            return name

        return call

    def retrying(self, seen: list | None = None):
        on_retry = (lambda error: None) if seen is None else seen.append
        return retrying(self.call, 600, RetryBudget(), on_retry)

    def times(self, name: str) -> list[float]:
        return [time for time, asked in self.asked if asked == name]


async def test_load_is_spread_by_tokens():
    cluster = Cluster("abc")
    long, short = Request(num_tokens=1000), Request(num_tokens=100)
    requests = [replace(r, session=str(i)) for i, r in enumerate([long, *[short] * 20])]
    names = await asyncio.gather(*map(cluster.call, requests))
    assert sorted(Counter(names).values()) == [1, 10, 10]
    assert all(member.tokens_in_flight == 0 for member in cluster.replicas.members)


async def test_a_session_stays_with_the_replica_that_holds_its_prefix():
    cluster = Cluster("abc")

    async def search(session: str) -> set[str]:
        return {await cluster.call(Request(session=session)) for _ in range(10)}

    homes = await asyncio.gather(*(search(str(i)) for i in range(60)))
    assert all(len(home) == 1 for home in homes)
    assert Counter(*zip(*homes, strict=True)) == {"a": 20, "b": 20, "c": 20}


async def test_an_overloaded_replica_passes_a_session_on():
    cluster = Cluster("ab", seconds=100)
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(cluster.call(Request(session="one")))
        await settle()
        counts = Counter(name for _, name in cluster.asked)
        assert min(counts.values()) >= 3


async def test_a_replica_that_dies_costs_repetitions_and_comes_back():
    cluster, seen = Cluster("ab"), []
    call = cluster.retrying(seen)

    async def search(session: str) -> list[str]:
        return [await call(Request(session=session)) for _ in range(40)]

    async with asyncio.TaskGroup() as group:
        searches = [group.create_task(search(str(i))) for i in range(8)]
        await asyncio.sleep(10.5)
        cluster.down.add("b")
        await asyncio.sleep(10)
        cluster.down.clear()
        back = now()
    assert len(seen) == sum(10.5 < time < 20.5 for time in cluster.times("b")) <= 16
    assert max(cluster.times("b")) > back
    answers = [answer for search in searches for answer in search.result()]
    assert len(answers) == 8 * 40
    assert now() < 60


async def test_a_replica_set_aside_is_probed_one_request_at_a_time_and_ever_less_often():
    cluster = Cluster("ab")
    cluster.down.add("b")
    call = cluster.retrying()

    async def search(session: int) -> None:
        for step in range(100):
            await call(Request(session=f"{session} {step}"))

    await asyncio.gather(*map(search, range(8)))
    times = cluster.times("b")
    pauses = [b - a for a, b in pairwise(times) if b > a]
    assert pauses[-1] >= 30
    assert len(times) < 20


async def test_where_all_are_aside_requests_wait_for_a_probe_and_are_not_counted_as_repeated():
    cluster, seen = Cluster("a"), []
    call = cluster.retrying(seen)
    cluster.down.add("a")
    first = [asyncio.create_task(call(Request())) for _ in range(5)]
    await asyncio.sleep(0.1)
    late = [asyncio.create_task(call(Request())) for _ in range(100)]
    await asyncio.sleep(5)
    cluster.down.clear()
    assert await asyncio.gather(*first, *late) == ["a"] * 105
    assert len(seen) <= 5 + 5
    assert now() < 15


async def test_what_waits_for_a_slot_at_a_replica_that_is_gone_goes_elsewhere_unasked():
    """One hangs with its slots full, and fails all it holds at once."""
    asked, seen = Counter(), []
    replicas = Replicas([Replica(name) for name in "ab"])

    def port(replica: Replica):
        async def call(request: Request) -> str:
            asked[replica.url] += 1
            if replica.url == "b":
                await asyncio.sleep(300)
                raise passing(None)
            await asyncio.sleep(1)
            return replica.url

        return limited(unless_gone(call, replica), Limiter(8))

    call = spread(replicas, [port(replica) for replica in replicas.members])
    repeated = retrying(call, 600, RetryBudget(), seen.append)
    answers = await asyncio.gather(*(repeated(Request(session=str(i))) for i in range(160)))
    assert answers == ["a"] * 160
    assert asked["b"] == len(seen) == 8
    assert now() < 330


async def test_what_dies_with_thousands_in_flight_costs_no_request():
    async def lives(_: Request) -> str:
        await asyncio.sleep(100)
        return "a"

    async def dies(_: Request) -> str:
        await asyncio.sleep(50)
        raise passing(None)

    call, seen = spread(Replicas([Replica(name) for name in "ab"]), [lives, dies]), []
    repeated = retrying(call, 600, RetryBudget(), seen.append)
    answers = await asyncio.gather(*(repeated(Request(session=str(i))) for i in range(6000)))
    assert answers == ["a"] * 6000
    assert len(seen) >= 3000


async def test_the_pause_that_a_replica_asks_for_is_its_own():
    cluster = Cluster("ab")
    cluster.fails = partial(passing, 503, retry_after_s=3600)
    cluster.down.add("b")
    call = cluster.retrying()
    for i in range(100):
        assert await call(Request(session=str(i))) == "a"
    assert now() < 110
    assert len(cluster.times("b")) == 1


async def test_a_failure_is_passed_on_as_it_was():
    cluster, seen = Cluster("ab"), []
    cluster.down.add("b")
    cluster.fails = partial(passing, 503, retry_after_s=3600)
    for i in range(10):
        await cluster.retrying(seen)(Request(session=str(i)))
    assert [error.retry_after_s for error in seen] == [3600]


async def test_what_is_set_aside_and_comes_back_is_logged(caplog):
    caplog.set_level(logging.INFO, "ttc_client.middleware")
    cluster = Cluster("a")
    cluster.down.add("a")
    call = asyncio.create_task(cluster.retrying()(Request(session="secret")))
    await asyncio.sleep(5)
    cluster.down.clear()
    await call
    logged = [record.getMessage() for record in caplog.records]
    assert logged[0] == "a is set aside for 1 s (500)"
    assert logged[-1].startswith("a is back after")
    assert {record.name for record in caplog.records} == {"ttc_client.middleware.replicas"}
    assert "secret" not in caplog.text


async def test_all_of_them_dead_for_ever_is_told_within_the_deadline():
    cluster = Cluster("ab")
    cluster.down |= {"a", "b"}
    call = cluster.retrying()
    failures = await asyncio.gather(
        *(call(Request(session=str(i))) for i in range(50)), return_exceptions=True
    )
    assert all("busy; given up" in str(failure) for failure in failures)
    assert now() <= 600
    assert len(cluster.asked) < 200


async def test_a_probe_that_is_cancelled_lets_the_next_one_go():
    cluster = Cluster("a")
    cluster.down.add("a")
    for _ in range(5):
        with pytest.raises(TransientServerError):
            await cluster.call(Request())
    cluster.down.clear()
    probe, waiting = [asyncio.create_task(cluster.call(Request())) for _ in range(2)]
    await asyncio.sleep(1.5)
    assert len(cluster.asked) == 6
    probe.cancel()
    assert await waiting == "a"


async def test_a_refusal_is_an_answer():
    calls = []

    async def port(request: Request) -> None:
        calls.append(request)
        raise RequestError("no", url="http://x", status=400)

    replicas = Replicas([Replica("a")])
    for _ in range(20):
        with pytest.raises(RequestError):
            await spread(replicas, [port])(Request())
    assert len(calls) == 20


async def test_few_sessions_are_remembered(monkeypatch):
    monkeypatch.setattr("ttc_client.middleware.replicas._SESSIONS_KEPT", 10)
    cluster = Cluster("ab")
    for i in range(50):
        await cluster.call(Request(session=str(i)))
    assert len(cluster.replicas._homes) == 10


async def test_a_replica_that_hangs_fails_no_request_while_another_works():
    """What it has held for half of its time is not the one to probe it again."""
    seen, hangs = [], asyncio.Event()
    replicas = Replicas([Replica(name) for name in "ab"])

    def port(replica: Replica):
        async def call(request: Request) -> str:
            if replica.url == "b" and hangs.is_set():
                await asyncio.sleep(300)
                raise passing(None)
            await asyncio.sleep(1)
            return replica.url

        return call

    call = retrying(
        spread(replicas, [port(member) for member in replicas.members]),
        600,
        RetryBudget(),
        seen.append,
    )

    async def search(session: int) -> None:
        for step in range(1000):
            await call(Request(session=f"{session} {step // 50}"))

    async def hang() -> None:
        await asyncio.sleep(100)
        hangs.set()

    await asyncio.gather(hang(), *map(search, range(16)))
    assert 8 <= len(seen) <= 16


async def test_a_request_that_waits_for_a_probe_in_vain_ends_with_what_is_wrong():
    cluster = Cluster("a")
    cluster.down.add("a")
    cluster.fails = lambda: passing(503, retry_after_s=1e6)
    first = asyncio.create_task(cluster.retrying()(Request()))
    await asyncio.sleep(0.1)
    for _ in range(6):
        cluster.replicas.members[0].failures += 1
    with pytest.raises(TransientServerError, match="busy; given up after 1 attempts in 600 s"):
        await cluster.retrying()(Request())
    with pytest.raises(TransientServerError, match="busy; given up"):
        await first


async def test_a_replica_is_probed_though_the_timer_is_early(monkeypatch):
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    monkeypatch.setattr(
        loop, "call_at", lambda when, *do, **how: call_at(when - 0.01, *do, **how), raising=False
    )
    cluster = Cluster("a")
    cluster.down.add("a")
    for _ in range(4):
        with pytest.raises(TransientServerError):
            await cluster.call(Request())
    with pytest.raises(TransientServerError):
        await cluster.call(Request())
    cluster.down.clear()
    assert await cluster.call(Request()) == "a"


async def test_what_broke_off_confirms_its_model_once_before_it_is_used_again():
    names = iter(["other", "m", "m"])
    asked = []

    async def ask_model() -> str:
        asked.append(now())
        await asyncio.sleep(0.5)
        return next(names)

    replica = Replica("a", model="m", ask_model=ask_model)
    breaks = iter([True])

    async def port(request: Request) -> str:
        if next(breaks, False):
            raise passing(None)
        await asyncio.sleep(1)
        return "answer"

    call = spread(Replicas([replica]), [unless_gone(port, replica)])
    seen: list[Exception] = []
    assert await retrying(call, 600, RetryBudget(), seen.append)(Request()) == "answer"
    assert [str(e) for e in seen] == ["busy", "a serves other now, but m when it was opened"]
    assert await asyncio.gather(*(call(Request()) for _ in range(20))) == ["answer"] * 20
    assert len(asked) == 2


def bounded(names: str, capacity: int, seconds: float = 1.0):
    """Replicas that take so many at a time; what asks them, and who was asked."""
    peers, asked = Peers(), []
    replicas = Replicas(Replica(name, Limiter(capacity, peers=peers)) for name in names)

    def port_of(replica: Replica):
        async def call(request: Request) -> str:
            asked.append((request.session, replica.url))
            await asyncio.sleep(seconds)
            return replica.url

        return limited(unless_gone(call, replica), replica.limiter)

    return replicas, balanced(replicas, port_of), asked


async def test_a_session_goes_on_where_its_request_moved_to():
    replicas, call, asked = bounded("ab", 1)
    assert await asyncio.gather(*(call(Request(session="one")) for _ in range(2))) in (
        ["a", "b"],
        ["b", "a"],
    )
    last = asked[-1][1]
    assert await call(Request(session="one")) == last
    assert [replica.tokens_in_flight for replica in replicas.members] == [0, 0]


async def test_a_replica_that_joins_takes_from_the_queues_at_once():
    replicas, call, asked = bounded("a", 1)
    requests = [asyncio.create_task(call(Request(session=str(i)))) for i in range(10)]
    await settle()
    joining = Replica("b", Limiter(4, peers=replicas.members[0].limiter.peers))
    replicas.join(joining)
    await settle()
    assert Counter(name for _, name in asked) == {"a": 1, "b": 4}
    await asyncio.gather(*requests)
    assert now() <= 3


async def test_a_replica_that_leaves_finishes_what_it_has_and_its_queue_goes_elsewhere():
    replicas, call, asked = bounded("ab", 4, seconds=10)
    requests = [asyncio.create_task(call(Request(session=str(i)))) for i in range(24)]
    await asyncio.sleep(1)
    leaving = replicas.members[1]
    replicas.leave(leaving)
    answers = await asyncio.gather(*requests)
    assert Counter(answers) == {"a": 20, "b": 4}
    assert len(asked) == 24
    assert await call(Request(session="after")) == "a"
    assert leaving.limiter.in_flight == 0


async def test_one_that_left_while_it_was_set_aside_is_not_probed():
    cluster = Cluster("ab")
    cluster.down.add("b")
    gone = cluster.replicas.members[1]
    call = cluster.retrying()
    await asyncio.gather(*(call(Request(session=str(i))) for i in range(4)))
    cluster.replicas.leave(gone)
    asked = len(cluster.times("b"))
    for i in range(200):
        await call(Request(session=f"after {i}"))
    assert len(cluster.times("b")) == asked >= 1
