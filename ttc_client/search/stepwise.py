"""What the strategies share that go step by step, M ways at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.strategy import multiples
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class StepwiseSettings(StrategySettings):
    """How far each step is looked ahead from before it is ranked."""

    lookahead: int = field(
        default=0,
        metadata={"help": "Roll each step this many steps further before it is ranked."},
    )

    def __post_init__(self) -> None:
        check_count("lookahead", self.lookahead, least=0)


def best_first(trajectory: Trajectory) -> tuple[float, tuple[int, ...]]:
    """Return a key that sorts by value, the earlier first among equals."""
    return -trajectory.value, trajectory.path


def num_completions(trajectories: Iterable[Trajectory]) -> int:
    """Count the completions that trajectories stand for."""
    return sum(t.multiplicity for t in trajectories if t.finished)


def multiples_of_m(params: SearchParams, settings: Any, grid: Sequence[int]) -> Sequence[int]:
    """Return the budgets of a grid from M on; raises ConfigError for what M does not divide."""
    return multiples(params, grid, "m", params.m)


def with_lookahead(params: SearchParams, settings: StepwiseSettings) -> float:
    """Spend N steps a level, and `lookahead` more for each of them."""
    return params.n * (1 + settings.lookahead)
