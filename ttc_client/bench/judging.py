"""Have verifiers score whole solutions, many at once, and keep every score.

Knows nothing of what the scores are good for.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ttc_client.bench.ledger import Ledger
from ttc_client.errors import TTCError
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.client import Client
from ttc_client.search.ports import ScoreRequest
from ttc_client.together import together
from ttc_client.types import Problem, Usage

SCORES = "scores.jsonl"
_UNSCORED = "the verifier gave some of its steps no score"
_AT_ONCE = 256
"""Solutions that wait for a verifier at once; how many reach it, its limiter decides."""


@dataclass(frozen=True, slots=True)
class Work:
    """A solution to be scored; `key` names it within its data set or run."""

    key: str
    problem: Problem
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredWork:
    """What a verifier, by its name, gave the steps of a solution, or in `error` why it did not.

    `wall_s` is the time since the one before ended: many are in flight, and together they took the
    sum.
    """

    verifier: str
    key: str
    scores: tuple[float, ...] = ()
    usage: Usage = field(default_factory=Usage)
    wall_s: float = 0.0
    error: str = ""


@dataclass(slots=True)
class Judging:
    """Score the work by one verifier after another; what is in `kept` is not asked for again.

    `kept` has the latest line of each verifier and key; `ledger` None keeps them in memory alone.
    """

    work: Sequence[Work]
    ledger: Ledger | None = None
    kept: dict[tuple[str, str], ScoredWork] = field(
        default_factory=dict[tuple[str, str], ScoredWork]
    )
    verifier: str = ""
    num_done: Counter[str] = field(default_factory=Counter[str])
    _ended_s: float = 0.0

    def __post_init__(self) -> None:
        known = {each.key: each for each in self.work}
        for line in self.ledger.kept[SCORES] if self.ledger else ():
            each = known.get(line.key)
            if each and not line.error and len(line.scores) == len(each.steps):
                self.kept[line.verifier, line.key] = line
                self.num_done[line.verifier] += 1

    @property
    def verifiers(self) -> list[str]:
        """The verifiers that have scored something, in the order in which they began."""
        return list(dict.fromkeys(verifier for verifier, _ in self.kept))

    def scores(self, verifier: str) -> dict[str, tuple[float, ...]]:
        """Return the scores of a verifier by key, without what failed."""
        return {
            line.key: line.scores
            for (name, _), line in self.kept.items()
            if name == verifier and not line.error
        }

    def lines(self, verifier: str) -> list[ScoredWork]:
        """Return all that a verifier was asked."""
        return [line for (name, _), line in self.kept.items() if name == verifier]

    async def run(self, client: Client, verifier: str) -> None:
        """Score what a verifier has not scored yet; a solution that fails is a line that says so.

        Raises TTCError where the ledger cannot be written.
        """
        self.verifier, self._ended_s = verifier, time.monotonic()
        left = [each for each in self.work if (verifier, each.key) not in self.kept]
        work = iter(left)
        await together(self._worker(client, work, verifier) for _ in left[:_AT_ONCE])

    async def _worker(self, client: Client, work: Iterator[Work], verifier: str) -> None:
        for each in work:
            line = await self._scored(client, each, verifier)
            if self.ledger:
                await self.ledger.write(SCORES, line)
            self.kept[verifier, each.key] = line
            self.num_done[verifier] += 1

    async def _scored(self, client: Client, work: Work, verifier: str) -> ScoredWork:
        meter = Meter()
        try:
            reply = await client.score(ScoreRequest(work.problem, (), (work.steps,)), meter)
            scores = tuple(score for score in reply.scores[0] if score is not None)
            error = "" if len(scores) == len(work.steps) else _UNSCORED
        except TTCError as failure:
            scores, error = (), str(failure) or type(failure).__name__
        began_s, self._ended_s = self._ended_s, time.monotonic()
        return ScoredWork(
            verifier=verifier,
            key=work.key,
            scores=scores,
            usage=meter.usage,
            wall_s=self._ended_s - began_s,
            error=error,
        )
