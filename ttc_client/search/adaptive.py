"""Adaptive consistency: stop sampling when the vote is decided (Aggarwal et al. 2023)."""

from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.results import completions
from ttc_client.search.search import Search
from ttc_client.search.tally import Tally
from ttc_client.together import in_order
from ttc_client.types import Trajectory


@dataclass(frozen=True, kw_only=True)  # without slots, to be combined with other settings
class StopSettings(StrategySettings):
    """When to stop early, and how many completions, or subtrees, run ahead of the vote."""

    stop_at: float | None = field(
        default=None,
        metadata={
            "help": "Stop once the leading answer is so sure to stay ahead, such as 0.95; with "
            "the weighted vote, once no other can catch up."
        },
    )
    window: int | None = field(
        default=None,
        metadata={
            "help": "Completions, or subtrees of dvts, in flight with --stop-at: fewer cost less, "
            "more are faster. (default: a 16th of them, at least 2)"
        },
    )

    def __post_init__(self) -> None:
        if self.stop_at is not None and not 0.5 < self.stop_at < 1:
            raise ConfigError(f"stop_at is {self.stop_at}: it must lie between 0.5 and 1")
        if self.window is not None:
            check_count("window", self.window)
            if self.stop_at is None:
                raise ConfigError(f"window is {self.window}: it needs stop_at, such as 0.95")

    def check_vote(self, params: SearchParams) -> None:
        """Raise ConfigError for a vote that any one sample may turn."""
        if self.stop_at is not None and params.vote == "prm":
            raise ConfigError(
                "vote is prm, which a last sample may turn, so that stop_at never stops: use "
                "weighted or majority"
            )


async def until_decided(
    search: Search[Any],
    settings: StopSettings,
    work: Iterable[Coroutine[Any, Any, Sequence[Trajectory]]],
    num: int,
    votes: int = 1,
) -> tuple[Sequence[Sequence[Trajectory]], str]:
    """Return what `num` pieces of work, of so many votes each, find up to the decision, and a note.

    They are taken in order, so that timing decides nothing. A window of them runs ahead; those in
    flight at the decision are closed.
    """
    tally, taken = Tally(search), list[Sequence[Trajectory]]()
    async with in_order(work, settings.window or default_window(num)) as results:
        async for sampled in results:
            taken.append(sampled)
            await tally.add(completions(sampled, votes))
            missing = num - len(taken)
            if missing and tally.is_decided(settings.stop_at or 1, votes * missing):
                return taken, f"decided after {len(taken)} of {num}"
    return taken, ""


def default_window(num: int) -> int:
    """Return how many of so many pieces of work run ahead: a 16th, at least 2."""
    return max(2, num // 16)
