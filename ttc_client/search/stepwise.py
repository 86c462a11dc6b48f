"""What the strategies share that go step by step, M ways at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams, StrategySettings, check_count


@dataclass(frozen=True, slots=True, kw_only=True)
class StepwiseSettings(StrategySettings):
    """How far each step is looked ahead from before it is ranked."""

    lookahead: int = field(
        default=0,
        metadata={"help": "Roll each step this many steps further before it is ranked."},
    )

    def __post_init__(self) -> None:
        check_count("lookahead", self.lookahead, least=0)


def multiples_of_m(
    params: SearchParams, settings: StepwiseSettings, grid: Sequence[int]
) -> Sequence[int]:
    """Return the budgets of a grid from M on; raises ConfigError for what M does not divide."""
    possible = [n for n in grid if n >= params.m]
    if not possible:
        raise ConfigError(
            f"n is {max(grid)} and m is {params.m}: {params.strategy} needs n to be at least m"
        )
    for n in possible:
        if n % params.m:
            raise ConfigError(
                f"n is {n} and m is {params.m}: {params.strategy} needs n to be a multiple of m, "
                f"such as {n - n % params.m}"
            )
    return possible


def with_lookahead(params: SearchParams, settings: StepwiseSettings) -> float:
    """Spend N steps a level, and `lookahead` more for each of them."""
    return params.n * (1 + settings.lookahead)
