"""Count what one search spends, while it runs; whoever wants to show it reads the counts.

Knows nothing of screens or files.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ttc_client.errors import ServerError
from ttc_client.search.ports import PRM, Policy, SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Usage

Exchange = tuple[SampleRequest, Samples] | tuple[ScoreRequest, Scores]


def _ignore(_: Exchange) -> None:
    pass


@dataclass(slots=True, eq=False)
class Meter:
    """The running counts of one search.

    `in_flight` counts sequences at the policy, `completions` holds the texts that ended by
    themselves. `on_exchange` is called with every answered request.
    """

    on_exchange: Callable[[Exchange], None] = _ignore
    usage: Usage = field(default_factory=Usage)
    in_flight: int = 0
    num_steps: int = 0
    completions: list[str] = field(default_factory=list[str])
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

        async def call(request: SampleRequest) -> Samples:
            self.in_flight += request.n
            try:
                samples = await port(request)
            except asyncio.CancelledError:
                self._cancelled()
                raise
            finally:
                self.in_flight -= request.n
            self.usage += samples.usage
            self.num_steps += len(samples.steps)
            self.completions += [
                request.trajectory.text + step.text
                for step in samples.steps
                if step.finish == "eos"
            ]
            self.on_exchange((request, samples))
            return samples

        return call

    def prm(self, port: PRM) -> PRM:
        """Count what goes through a PRM."""

        async def call(request: ScoreRequest) -> Scores:
            try:
                scores = await port(request)
            except asyncio.CancelledError:
                self._cancelled()
                raise
            self.usage += scores.usage
            self.on_exchange((request, scores))
            return scores

        return call

    def _cancelled(self) -> None:
        self.usage += Usage(cancelled_requests=1)
