"""Speculative rejection: close the least promising completions while they are being written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from ttc_client.errors import ConfigError
from ttc_client.search.found import Found
from ttc_client.search.params import StrategySettings, check_count
from ttc_client.search.search import Search
from ttc_client.search.stepwise import best_first, num_completions
from ttc_client.search.strategy import Strategy
from ttc_client.together import surviving
from ttc_client.types import Trajectory

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionSettings(StrategySettings):
    """How many are rejected, and how often."""

    reject: float = field(
        default=0.5,
        metadata={"help": "Share of the unfinished completions that each checkpoint rejects."},
    )
    checkpoint: int = field(
        default=128, metadata={"help": "Tokens from one checkpoint of rejection to the next."}
    )

    def __post_init__(self) -> None:
        if not 0 < self.reject < 1:
            raise ConfigError(f"reject is {self.reject}: it must lie between 0 and 1")
        check_count("checkpoint", self.checkpoint)


async def rejection(search: Search[RejectionSettings]) -> Found:
    """Write fewer and fewer of N completions to their end (Sun et al. 2024, arXiv 2410.20290).

    1. Write all on to the next checkpoint. 2. Score what there is of them. 3. Reject the worst
    share of those that have not ended. Repeat while any is left. A checkpoint waits for all, since
    it compares them.
    """
    n, write = search.params.n, partial(search.expand, until=search.settings.checkpoint)
    level: Sequence[Trajectory] = await write(search.root, n)
    sampled, num_rejected = list(level), 0
    while unfinished := [t for t in level if not t.finished]:
        kept = _kept(unfinished, search.settings.reject)
        num_rejected += _num(unfinished) - sum(copies for _, copies in kept)
        groups = await surviving(
            (write(trajectory, copies) for trajectory, copies in kept),
            needed=not num_completions(sampled),
        )
        level = tuple(chain.from_iterable(groups))
        sampled += level
    note = f"{num_rejected} of {n} rejected"
    if not num_rejected:
        note += f": too few were unfinished after {search.settings.checkpoint} tokens"
    return Found(sampled, search.completions(sampled), note)


def _kept(unfinished: Sequence[Trajectory], reject: float) -> list[tuple[Trajectory, int]]:
    """Return those that are written on, the best first, and how many copies of each."""
    room = _num(unfinished) - int(_num(unfinished) * reject + _ROUNDING)
    kept: list[tuple[Trajectory, int]] = []
    for trajectory in sorted(unfinished, key=best_first):
        if room > 0:
            kept.append((trajectory, min(room, trajectory.multiplicity)))
            room -= trajectory.multiplicity
    return kept


def _num(trajectories: Iterable[Trajectory]) -> int:
    return sum(trajectory.multiplicity for trajectory in trajectories)


REJECTION = Strategy(
    name="rejection",
    about="best-of-n that gives up the least promising completions while they are written",
    search=rejection,
    settings=RejectionSettings,
    takes_m=False,
)
