"""Repeat a request whose failure may pass: after a pause, before a deadline, within a budget."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ttc_client.deadlines import Clock
from ttc_client.errors import GarbledError, ServerError, TimedOutError, TransientServerError
from ttc_client.middleware import A
from ttc_client.middleware.context import Call, current_call
from ttc_client.middleware.levels import MOST

Q = TypeVar("Q")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_MAX_GARBLED = 4
"""Give up after four malformed bodies in a row."""
_MAX_FAILED = 5
"""Give up after so many answers of 500 in the same words."""

RESERVE = float(MOST)
"""As many requests as may be in flight at a server that dies."""
_PER_ANSWER = 0.25

_LOG = logging.getLogger(__name__)
_RETRY = "attempt %d at %s failed (%s): retry in %.1f s"


@dataclass(slots=True)
class RetryBudget:
    """The retries left to a run, so that they cannot become its main load.

    It starts with enough for all that is in flight when a server dies. Each answer earns a
    quarter of a retry, up to that number.
    """

    left: float = RESERVE

    def earn(self) -> None:
        """Count an answer."""
        self.left = min(RESERVE, self.left + _PER_ANSWER)

    def spend(self) -> bool:
        """Take one retry; return whether there was one left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


def retrying(
    port: Callable[[Q], Awaitable[A]],
    timeout_s: float,
    budget: RetryBudget,
    on_retry: Callable[[ServerError], None],
) -> Callable[[Q], Awaitable[A]]:
    """Repeat a request unchanged while its failure may pass, for at most `timeout_s` in all.

    The pause doubles each time, with jitter; it is longer where the server asks for that
    (Retry-After) and no other replica can take the request. The clock is paused while the request
    queues locally.

    Raises TransientServerError, with the last failure in its message, once the time or the budget
    is used up, or a server fails on the request in the same words each time (500), and GarbledError
    after four malformed bodies in a row. Other errors are not retried.
    """

    clock = Clock()

    async def retrying_call(request: Q) -> A:
        attempts = garbled = failed = 0
        before: ServerError | None = None
        call = Call(current_call().turn, timeout_s, clock)
        try:
            with call:
                while True:
                    try:
                        answer = await port(request)
                    except (TransientServerError, GarbledError) as error:
                        failed = failed + 1 if _is_again(error, before) else 1
                        before = call.last_failure = error
                        attempts += 1
                        garbled = garbled + 1 if isinstance(error, GarbledError) else 0
                        if garbled == _MAX_GARBLED:
                            raise
                        if failed == _MAX_FAILED:
                            raise _given_up(error, attempts, _ALWAYS_FAILS) from error
                        pause_s = _pause_s(error, attempts, call.has_other)
                        if pause_s > call.left_s:
                            raise _given_up(error, attempts, f"in {timeout_s:g} s") from error
                        if not budget.spend():
                            raise _given_up(error, attempts, _BUDGET_SPENT) from error
                        _LOG.debug(_RETRY, attempts, error.url, error.cause, pause_s)
                        on_retry(error)
                        await asyncio.sleep(pause_s)
                    else:
                        budget.earn()
                        return answer
        except TimeoutError as error:
            failure = call.last_failure or _SILENCE
            raise _given_up(failure, attempts + 1, f"in {timeout_s:g} s") from error

    return retrying_call


_SILENCE = TimedOutError("no server gave a whole answer", url="")
_ALWAYS_FAILS = "because the server fails on this request in the same words each time"
_BUDGET_SPENT = "because too many requests of this run fail: no retries left"


def _is_again(error: ServerError, before: ServerError | None) -> bool:
    """Return whether a server has failed on a request as it did before, in the same words."""
    return (
        before is not None
        and error.status == before.status == 500
        and (error.url, error.body) == (before.url, before.body)
    )


def _pause_s(error: ServerError, attempts: int, has_other: bool) -> float:
    doubled = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 30))
    pause_s = doubled * random.uniform(0.5, 1.5)
    if isinstance(error, TransientServerError) and error.retry_after_s and not has_other:
        pause_s = max(pause_s, error.retry_after_s + random.uniform(0, _FIRST_PAUSE_S))
    return pause_s


def _given_up(failure: ServerError, attempts: int, why: str) -> TransientServerError:
    error = TransientServerError(
        f"{failure}; given up after {attempts} attempts {why}",
        url=failure.url,
        status=failure.status,
        body=failure.body,
    )
    error.reason = failure.reason
    return error
