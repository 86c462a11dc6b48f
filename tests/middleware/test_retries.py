"""Repetitions: of what, how often, how soon and for how long."""

import asyncio
import logging
import traceback

import pytest

from tests.fakes.virtual_time import now
from tests.middleware.requests import Request, passing, spread
from ttc_client.deadlines import clock_stopped
from ttc_client.errors import GarbledError, ProtocolError, RequestError, TransientServerError
from ttc_client.middleware.levels import Level
from ttc_client.middleware.limits import Limiter, levelled, limited
from ttc_client.middleware.replica import Replica, unless_gone
from ttc_client.middleware.replicas import Replicas
from ttc_client.middleware.retries import RetryBudget, retrying


class Port:
    """Answer in turn with what was given, the last one for ever, and record when and for whom."""

    def __init__(self, *answers, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.times: list[float] = []
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> str:
        self.requests.append(request)
        self.times.append(now())
        await asyncio.sleep(self.seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def pauses(self) -> list[float]:
        return [b - a for a, b in zip(self.times, self.times[1:], strict=False)]


def garbled() -> GarbledError:
    return GarbledError("7 bytes", url="http://x", status=200)


def repeat(
    port, timeout_s: float = 600, budget: RetryBudget | None = None, seen: list | None = None
):
    on_retry = (lambda error: None) if seen is None else seen.append
    return retrying(port, timeout_s, budget or RetryBudget(), on_retry)


async def test_what_may_pass_is_asked_again_unchanged():
    port, seen, request = Port(passing(), garbled(), passing(), "fine"), [], Request()
    assert await repeat(port, seen=seen)(request) == "fine"
    assert port.requests == [request] * 4
    assert len(seen) == 3


async def test_a_body_may_be_garbled_after_other_failures():
    port = Port(*[passing(503)] * 6, garbled(), garbled(), passing(), garbled(), garbled(), "fine")
    assert await repeat(port)(Request()) == "fine"


async def test_pauses_double_up_to_a_bound_and_differ():
    pauses = [0.0] * 12
    for _ in range(20):
        port = Port(*[passing(503)] * 12, "fine")
        await repeat(port, timeout_s=1e6)(Request())
        for i, pause in enumerate(port.pauses):
            middle = min(30, 0.5 * 2**i)
            assert 0.5 * middle <= pause <= 1.5 * middle
            assert pause != pauses[i]
            pauses[i] = pause


@pytest.mark.parametrize("asked", [7.0, 0.0])
async def test_the_server_may_name_the_pause_but_not_make_us_spin(asked):
    port = Port(passing(retry_after_s=asked), "fine")
    await repeat(port)(Request())
    assert max(asked, 0.25) <= port.pauses[0] <= max(asked + 0.5, 0.75)


@pytest.mark.parametrize("error", [RequestError, ProtocolError])
async def test_what_cannot_pass_is_not_asked_again(error):
    port = Port(error("no", url="http://x", status=400))
    with pytest.raises(error, match=r"^no$"):
        await repeat(port)(Request())
    assert len(port.requests) == 1


async def test_a_server_that_always_sends_garbage_is_told_so():
    port = Port(garbled())
    with pytest.raises(GarbledError):
        await repeat(port)(Request())
    assert len(port.requests) == 4


@pytest.mark.parametrize(
    "port",
    [
        Port(passing(503)),
        Port(passing(503), seconds=100),
        Port(passing(retry_after_s=1e9)),
        Port(None),
    ],
    ids=["503 for ever", "slow 503", "retry in 30 years", "silent"],
)
async def test_a_server_that_fails_for_ever_ends_in_its_error_within_the_deadline(port):
    if port.answers == [None]:
        port.seconds = 1e9
    with pytest.raises(TransientServerError, match=r"given up after \d+ attempts in 600 s"):
        await repeat(port)(Request())
    assert now() <= 600
    assert len(port.requests) < 40


async def test_a_server_that_fails_on_a_request_in_the_same_words_is_given_up_soon():
    port = Port(passing(body="'<' not supported"))
    with pytest.raises(TransientServerError, match="busy; given up after 5 attempts because") as e:
        await repeat(port)(Request())
    assert now() < 30
    assert e.value.body == "'<' not supported"


async def test_failures_in_other_words_are_others():
    failures = [passing(body="a"), passing(body="b"), passing(503, body="b"), passing(body="b")] * 3
    assert await repeat(Port(*failures, "fine"))(Request()) == "fine"


async def test_the_error_that_ends_it_says_what_the_server_said():
    with pytest.raises(TransientServerError, match="busy; given up after") as raised:
        await repeat(Port(passing(status=503)))(Request())
    assert raised.value.status == 503


async def test_what_is_merely_slow_is_not_blamed_on_the_failure_of_another():
    budget = RetryBudget()
    with pytest.raises(TransientServerError):
        await repeat(Port(passing()), timeout_s=1, budget=budget)(Request())
    slow = repeat(Port("fine", seconds=700), budget=budget)
    with pytest.raises(TransientServerError, match="no server gave a whole answer; given up after"):
        await slow(Request())


async def test_a_run_has_a_budget_which_answers_refill():
    budget, answered = RetryBudget(), Port("fine")
    broken = repeat(Port(passing(503, retry_after_s=0)), timeout_s=1e9, budget=budget)
    with pytest.raises(TransientServerError, match="no retries left"):
        await broken(Request())
    assert budget.left < 1
    with pytest.raises(TransientServerError, match="given up after 1 attempts"):
        await broken(Request())
    for _ in range(8):
        await repeat(answered, budget=budget)(Request())
    seen = []
    with pytest.raises(TransientServerError):
        await repeat(Port(passing()), budget=budget, seen=seen)(Request())
    assert len(seen) == 2


async def test_waiting_for_a_slot_of_our_own_does_not_count():
    limiter = Limiter(1)
    port = Port("fine", seconds=400)
    call = repeat(limited(port, limiter))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(Request())) for _ in range(5)]
    assert [task.result() for task in tasks] == ["fine"] * 5
    assert now() == 2000


async def test_parts_of_a_request_that_wait_for_each_other_do_not_count_either():
    slots = asyncio.Semaphore(1)

    async def part() -> None:
        with clock_stopped():
            await slots.acquire()
        await asyncio.sleep(400)
        slots.release()

    async def port(request: Request) -> str:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(part())
        return "fine"

    assert await repeat(port)(Request()) == "fine"
    assert now() == 2000


async def test_the_clock_goes_on_after_the_slot():
    limiter = Limiter(1)
    call = repeat(limited(Port("fine", seconds=700), limiter))
    waiting = asyncio.create_task(call(Request()))
    first = asyncio.create_task(call(Request()))
    with pytest.raises(TransientServerError):
        await waiting
    assert now() == 600
    with pytest.raises(TransientServerError):
        await first
    assert now() == 1200
    assert limiter.in_flight == 0


async def test_a_backing_off_request_holds_no_slot():
    limiter = Limiter(1)
    port = Port(passing(retry_after_s=100), "fine")
    first = asyncio.create_task(repeat(limited(port, limiter))(Request()))
    await asyncio.sleep(1)
    assert limiter.in_flight == 0
    assert await first == "fine"


async def test_cancelling_ends_it_at_once():
    port = Port(passing(retry_after_s=100))
    task = asyncio.create_task(repeat(port)(Request()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert now() == 1


async def test_a_traceback_names_each_wrapper():
    replica = Replica("http://x")
    port = limited(unless_gone(Port(RequestError("no", url="http://x")), replica), Limiter(4))
    port = levelled(port, Limiter(4), Level(), int)
    with pytest.raises(RequestError) as raised:
        await repeat(spread(Replicas([replica]), [port]))(Request())
    names = [frame.name for frame in traceback.extract_tb(raised.tb)]
    names = [name for name in names if name.endswith("_call")]
    wrappers = ["retrying", "balanced", "levelled", "limited", "unless_gone"]
    assert names == [f"{wrapper}_call" for wrapper in wrappers]


async def test_retries_are_logged_without_what_the_server_said(caplog):
    caplog.set_level(logging.DEBUG, "ttc_client.middleware")
    await repeat(Port(passing(503, body="secret"), garbled(), "fine"))(Request(problem="secret"))
    logged = [(record.name, record.levelname) for record in caplog.records]
    assert logged == [("ttc_client.middleware.retries", "DEBUG")] * 2
    assert "attempt 1 at http://x failed (503): retry in" in caplog.text
    assert "busy" not in caplog.text
    assert "secret" not in caplog.text
