"""The settings that decide a search's outcome, checked before any request is sent."""

from dataclasses import dataclass
from typing import get_args

from ttc_client.errors import ConfigError
from ttc_client.search.table import Table
from ttc_client.types import TREE_STRATEGIES, Allocation, Compat, Reduction, Strategy, Vote

STEPWISE_STRATEGIES: tuple[Strategy, ...] = (*TREE_STRATEGIES, "compute-optimal")
UNSCORED_STRATEGIES: tuple[Strategy, ...] = ("greedy", "majority")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """Say how to search: all that a strategy may depend on.

    `n` is the budget, `m` the beam width; `max_tokens` limits a step and `max_completion_tokens`
    a whole completion. `vote` defaults to "weighted", or "majority" where no PRM takes part.
    Without `seeds` the randomness is left to the server. `table` is for compute-optimal scaling,
    whose M it holds. The defaults are those of the blog post; `compat` asks for the behaviour of
    its published toolkit, which knows no `max_completion_tokens`.
    Raises ConfigError, naming the value and the fix, for settings that no search can run with.
    """

    strategy: Strategy = "dvts"
    n: int = 16
    m: int = 4
    temperature: float = 0.8
    top_p: float = 1.0
    max_steps: int = 40
    max_tokens: int = 2048
    max_completion_tokens: int = 2048
    reduction: Reduction = "last"
    lookahead: int = 0
    vote: Vote | None = None
    seed: int = 0
    seeds: bool = True
    table: Table | None = None
    compat: Compat | None = None

    def __post_init__(self) -> None:
        check_choice("strategy", self.strategy, Strategy)
        check_choice("reduction", self.reduction, Reduction)
        if self.vote is not None:
            check_choice("vote", self.vote, Vote)
        if self.compat is not None:
            check_choice("compat", self.compat, Compat)
        for name in ("n", "m", "max_steps", "max_tokens", "max_completion_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"temperature is {self.temperature}: it must lie between 0 and 2")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}: it must be above 0 and at most 1")
        if self.lookahead < 0:
            raise ConfigError(f"lookahead is {self.lookahead}: it must be 0 or more")
        self._check_strategy()

    def _check_strategy(self) -> None:
        if self.strategy in TREE_STRATEGIES:
            if self.n < least_n(self.strategy, self.m, self.compat):
                raise ConfigError(
                    f"n is {self.n} and m is {self.m}: {self.strategy} needs n to be at least m"
                )
            if self.n % least_n(self.strategy, self.m, self.compat):
                raise ConfigError(
                    f"n is {self.n} and m is {self.m}: {self.strategy} needs n to be a multiple "
                    f"of m, such as {self.n - self.n % self.m}"
                )
        elif self.lookahead and self.strategy != "compute-optimal":
            raise ConfigError(
                f"lookahead is {self.lookahead}, but {self.strategy} has no steps to look ahead "
                "from: leave it out, or use beam or dvts"
            )
        if self.strategy in UNSCORED_STRATEGIES and self.vote not in (None, "majority"):
            raise ConfigError(
                f"vote is {self.vote}, but {self.strategy} uses no PRM: leave it out, or use "
                "best-of-n"
            )
        if self.temperature == 0 and self.num_completions > 1:
            raise ConfigError(
                f"temperature is 0 and n is {self.n}: all samples would be the same; use "
                "greedy, or a temperature such as 0.8"
            )
        if self.strategy == "compute-optimal":
            self._check_table()

    def _check_table(self) -> None:
        if self.compat:
            raise ConfigError(
                f"compat is {self.compat}, but the published toolkit has no compute-optimal "
                "scaling: leave it out"
            )
        if self.table is None:
            raise ConfigError(
                "compute-optimal needs a table: fit one with ttc optimal fit, and name it with "
                "--table FILE"
            )
        self.table.budget(self.n)
        if self.reduction != self.table.origin.reduction:
            raise ConfigError(
                f"reduction is {self.reduction}, but the table's bins are of rewards by "
                f"{self.table.origin.reduction}: use that"
            )

    @property
    def num_completions(self) -> int:
        """How many completions the search may return: N, but one for greedy."""
        return 1 if self.strategy == "greedy" else self.n

    @property
    def uses_prm(self) -> bool:
        """Whether the strategy has its steps scored."""
        return self.strategy not in UNSCORED_STRATEGIES


def default_vote(strategy: Strategy, found: Allocation | None = None) -> Vote:
    """Return the vote that decides unless another is asked for: that of the strategy chosen."""
    chosen = found.strategy if found else strategy
    return "majority" if chosen in UNSCORED_STRATEGIES else "weighted"


def least_n(strategy: Strategy, m: int, compat: Compat | None) -> int:
    """Return what a tree search needs N to be a multiple of: M; the toolkit's beam search, 1."""
    return 1 if compat == "sal" and strategy == "beam" else m


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise ConfigError unless a value is among those of a Literal."""
    if value not in get_args(choices):
        known = ", ".join(str(choice) for choice in get_args(choices))
        raise ConfigError(f"{name} is {value!r}: it must be one of {known}")
