"""What a strategy hands over when its search has ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from ttc_client.types import Allocation, Trajectory


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate as a strategy hands it over.

    `votes` is how many samples, or copies of a particle, it stands for; `weight` what each counts
    in the weighted vote, None for its reward.
    """

    trajectory: Trajectory
    votes: float = 1
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    `sampled` holds what the outcome rests on, never what was closed early, and `picks` the
    candidates. `note` says what is worth knowing, such as "decided after 20 of 64".
    """

    sampled: Sequence[Trajectory]
    picks: Sequence[Pick]
    note: str = ""
    allocation: Allocation | None = None
