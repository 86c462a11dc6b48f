"""Repeat what may pass: after a pause, within a deadline, and within what a run can bear."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ttc_client.deadlines import Deadline
from ttc_client.errors import GarbledError, ServerError, TimedOutError, TransientServerError
from ttc_client.middleware import A
from ttc_client.middleware.levels import MOST

Q = TypeVar("Q")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_MAX_GARBLED = 4
"""A body garbled that often in a row was not garbled on its way."""

RESERVE = float(MOST)
"""As many requests as may be in flight at a server that dies."""
_PER_ANSWER = 0.25


@dataclass(slots=True)
class RetryBudget:
    """The repetitions that a run may still make, so that they cannot become its main load.

    It starts with enough for all that is in flight when a server dies, and each answer earns a
    quarter of one more, up to as many as it started with.
    """

    left: float = RESERVE

    def earn(self) -> None:
        """Count an answer."""
        self.left = min(RESERVE, self.left + _PER_ANSWER)

    def spend(self) -> bool:
        """Take one repetition, if there is one left."""
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
    """Repeat a request whose failure may pass, unchanged, for at most `timeout_s` in all.

    The pause doubles each time, with jitter, unless the server names one (Retry-After). The time
    that a request waits for slots of our own does not count.
    """

    async def call(request: Q) -> A:
        failure: ServerError | None = None
        attempts = garbled = 0
        deadline = Deadline(timeout_s)
        try:
            async with deadline:
                while True:
                    try:
                        answer = await port(request)
                    except (TransientServerError, GarbledError) as error:
                        failure = error
                        attempts += 1
                        pause_s = _pause_s(error, attempts)
                        garbled = garbled + 1 if isinstance(error, GarbledError) else 0
                        if garbled == _MAX_GARBLED:
                            raise
                        if pause_s > deadline.left_s:
                            raise _given_up(error, attempts, f"in {timeout_s:g} s") from error
                        if not budget.spend():
                            raise _given_up(error, attempts, _BUDGET_SPENT) from error
                        on_retry(error)
                        await asyncio.sleep(pause_s)
                    else:
                        budget.earn()
                        return answer
        except TimeoutError as error:
            raise _given_up(
                failure or deadline.reason or _SILENCE, attempts + 1, f"in {timeout_s:g} s"
            ) from error

    return call


_SILENCE = TimedOutError("no server gave a whole answer", url="")
_BUDGET_SPENT = "as this run has no repetitions left: too many of its requests fail"


def _pause_s(error: ServerError, attempts: int) -> float:
    doubled = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 30))
    pause_s = doubled * random.uniform(0.5, 1.5)
    if isinstance(error, TransientServerError) and error.retry_after_s is not None:
        return max(pause_s, error.retry_after_s + random.uniform(0, _FIRST_PAUSE_S))
    return pause_s


def _given_up(failure: ServerError, attempts: int, why: str) -> TransientServerError:
    return TransientServerError(
        f"{failure}; given up after {attempts} attempts {why}",
        url=failure.url,
        status=failure.status,
        body=failure.body,
    )
