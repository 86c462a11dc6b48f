"""Count what one search spends, while it runs; whoever wants to show it reads the counts.

Knows nothing of screens or files.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ttc_client.errors import ServerError, TooManyError
from ttc_client.middleware import Request
from ttc_client.search.ports import (
    CompareRequest,
    Comparison,
    Judge,
    Policy,
    SampleRequest,
    Samples,
    ScoreRequest,
    Scores,
    Verifier,
)
from ttc_client.search.scoring import is_asked_apart
from ttc_client.types import Usage

Exchange = tuple[SampleRequest, Samples] | tuple[ScoreRequest, Scores]


def _ignore(_: Exchange) -> None:
    pass


@dataclass(slots=True, eq=False)
class Meter:
    """The running counts of one search.

    `in_flight` counts sequences at the policy. `on_exchange` is called with every answered
    request.
    """

    on_exchange: Callable[[Exchange], None] = _ignore
    usage: Usage = field(default_factory=Usage)
    in_flight: int = 0
    started_s: float = field(default_factory=time.monotonic)
    last_retry: str = ""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the search began."""
        return time.monotonic() - self.started_s

    def retried(self, error: ServerError) -> None:
        """Count a request that has to be sent again, and remember why."""
        self.usage += Usage(retries={error.cause: 1})
        self.last_retry = str(error)

    def policy(self, port: Policy) -> Policy:
        """Count what goes through a policy."""

        async def metered(request: SampleRequest) -> Samples:
            self.in_flight += request.n
            try:
                samples = await port(request)
            except BaseException as error:
                self._lost(request, error)
                raise
            finally:
                self.in_flight -= request.n
            self.usage += samples.usage
            self.on_exchange((request, samples))
            return samples

        return metered

    def verifier(self, port: Verifier) -> Verifier:
        """Count what goes through a verifier."""

        async def metered(request: ScoreRequest) -> Scores:
            try:
                scores = await port(request)
            except BaseException as error:
                self._lost(request, error)
                raise
            self.usage += scores.usage
            self.on_exchange((request, scores))
            return scores

        return metered

    def judge(self, port: Judge) -> Judge:
        """Count what goes through a judge that compares."""

        async def metered(request: CompareRequest) -> Comparison:
            try:
                comparison = await port(request)
            except BaseException as error:
                self._lost(request, error)
                raise
            self.usage += comparison.usage
            return comparison

        return metered

    def _lost(self, request: Request, error: BaseException) -> None:
        """Count a request that was closed, or given up; one that is split is counted in parts."""
        if isinstance(error, asyncio.CancelledError):
            self.usage += Usage(cancelled_requests=1)
        elif isinstance(error, ServerError) and not (
            isinstance(error, TooManyError) or is_asked_apart(request, error)
        ):
            self.usage += Usage(failures={error.cause: request.num_sequences})
