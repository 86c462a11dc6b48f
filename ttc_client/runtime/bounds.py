"""End a search at a deadline or a token budget, with the best that it has so far."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from ttc_client.middleware.meter import Meter
from ttc_client.search.found import Found, Pick
from ttc_client.search.results import completions
from ttc_client.search.watch import Watch
from ttc_client.types import Step, Trajectory


@dataclass(slots=True, eq=False)
class Bounds:
    """What ends one search early: `deadline_s` seconds, or `tokens` generated; None for neither.

    Afterwards `reached` names what did: "deadline", "tokens", or "" for the search's own end.
    """

    deadline_s: float | None = None
    tokens: int | None = None
    reached: str = ""


class Kept(Watch):
    """Keep all that is sampled, for a search that ends early; pass on what happens."""

    def __init__(self, watch: Watch, meter: Meter, bounds: Bounds) -> None:
        self.sampled_so_far: dict[tuple[int, ...], Trajectory] = {}
        self._watch, self._meter, self._bounds = watch, meter, bounds
        self._timeout: asyncio.Timeout | None = None

    def launched(self, parent: Trajectory, n: int) -> None:
        """Pass it on."""
        self._watch.launched(parent, n)

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        """Keep them, and end the search once it has spent its tokens."""
        self.sampled_so_far |= {child.path: child for child in children}
        self._watch.sampled(parent, n, children)
        most, spent = self._bounds.tokens, self._meter.usage.completion_tokens
        if most is not None and spent >= most and self._timeout and not self._bounds.reached:
            self._bounds.reached = "tokens"
            self._timeout.reschedule(asyncio.get_running_loop().time())

    def dropped(self, parent: Trajectory, n: int) -> None:
        """Pass it on."""
        self._watch.dropped(parent, n)

    def picked(self, picks: Sequence[Pick]) -> None:
        """Pass it on."""
        self._watch.picked(picks)

    async def within(self, search: Awaitable[Found], n: int) -> Found:
        """Return what a search finds, or its best so far where a bound ends it.

        Raises TimeoutError if nothing was sampled by then.
        """
        try:
            async with asyncio.timeout(self._bounds.deadline_s) as self._timeout:
                return await search
        except TimeoutError:
            if not self._timeout or not self._timeout.expired():
                raise
        self._bounds.reached = self._bounds.reached or "deadline"
        sampled = list(self.sampled_so_far.values())
        if not sampled:
            raise TimeoutError("the deadline passed before anything was written")
        picks = completions(sampled, n) or completions(_cut(sampled), n)
        num = round(sum(pick.votes for pick in picks))
        return Found(sampled, picks, f"ended by its {self._named()} with {num} of {n} completions")

    def _named(self) -> str:
        bounds = self._bounds
        if bounds.reached == "tokens":
            return f"budget of {bounds.tokens:,} tokens"
        return f"deadline of {bounds.deadline_s:g} s"


def _cut(sampled: Sequence[Trajectory]) -> list[Trajectory]:
    """Return the unfinished ends of a tree as completions that were cut."""
    parents = {trajectory.path[:-1] for trajectory in sampled}
    return [_ended(trajectory) for trajectory in sampled if trajectory.path not in parents]


def _ended(trajectory: Trajectory) -> Trajectory:
    last: Step = replace(trajectory.steps[-1], finish="length")
    return replace(trajectory, steps=(*trajectory.steps[:-1], last))
