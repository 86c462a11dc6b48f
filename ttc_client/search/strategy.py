"""What the project knows of a strategy: one record, in the strategy's own file."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, Literal, TypeVar

from ttc_client.errors import ConfigError
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams, StrategySettings
from ttc_client.types import Vote

S = TypeVar("S", bound=StrategySettings)

Kind = Literal["fixed", "independent", "tree", "chains"]
"""How samples depend on chance and on each other. A "fixed" one is the same for all seeds. The
smaller budgets of a search whose samples are "independent" can be read off it; a "tree" and
"chains" are what they are at their own N alone."""


_COUNTED: frozenset[Vote | None] = frozenset({None, "majority", "tournament"})
"""The votes that need no rewards."""


def whole_budget(params: SearchParams, settings: Any) -> float:
    """Spend N."""
    return params.n


def largest_budget(params: SearchParams, settings: Any, grid: Sequence[int]) -> Sequence[int]:
    """Run at the largest N alone, off which the smaller ones are read."""
    return (max(grid),)


def every_budget(params: SearchParams, settings: Any, grid: Sequence[int]) -> Sequence[int]:
    """Run at every N."""
    return grid


def multiples(
    params: SearchParams, grid: Sequence[int], name: str, unit: int, least: int | None = None
) -> Sequence[int]:
    """Return the budgets of a grid from the least on, by default a unit, which is a setting.

    Raises ConfigError if there are none, and for one that the unit does not divide.
    """
    least = least or unit
    possible = [n for n in grid if n >= least]
    if not possible:
        needed = f"at least {name}" if least == unit else f"{least} or more"
        raise ConfigError(
            f"n is {max(grid)} and {name} is {unit}: {params.strategy} needs n to be {needed}"
        )
    for n in possible:
        if n % unit:
            raise ConfigError(
                f"n is {n} and {name} is {unit}: {params.strategy} needs n to be a multiple of "
                f"{name}, such as {n - n % unit}"
            )
    return possible


def independent(params: SearchParams, settings: Any) -> Kind:
    """Sample whole completions, none of which depends on another."""
    return "independent"


def tree(params: SearchParams, settings: Any) -> Kind:
    """Sample steps, each of which depends on how those before were scored."""
    return "tree"


def chains(params: SearchParams, settings: Any) -> Kind:
    """Sample whole completions, each of which may read earlier ones."""
    return "chains"


def by_reward(params: SearchParams) -> Vote:
    """Decide by the weighted vote."""
    return "weighted"


def by_majority(params: SearchParams) -> Vote:
    """Decide by the number of votes."""
    return "majority"


@dataclass(frozen=True, slots=True)
class Strategy(Generic[S]):
    """A strategy: how it searches, and what everybody else needs to know of it.

    `about` is its line in the help. `search` is called with a `Search` of these settings; it is a
    module-level function, so that it pickles.
    `needs` says what the verifier must be able to score: nothing, whole solutions, or prefixes of
    them. `settings` is the class of its own settings, of which its flags, recipe keys, defaults
    and checks are made. `samples` says how its samples depend on each other, `budgets` which N of
    a grid it runs at (raises ConfigError where there is none), `spends` bounds the steps that a
    search samples, in units of those of its longest trajectory, and `vote` is what decides by
    default. `takes_m` says whether the beam width M changes what it finds, and `is_timed` whether
    timing does.
    `top_logprobs` is how many alternatives of each token it reads, beside the token's own
    log-probability; None for neither.
    """

    name: str
    about: str
    search: Callable[[Any], Awaitable[Found]]
    needs: Literal["nothing", "solutions", "prefixes"] = "prefixes"
    settings: type[S] = StrategySettings  # pyright: ignore[reportAssignmentType] - S is that then
    samples: Callable[[SearchParams, S], Kind] = tree
    budgets: Callable[[SearchParams, S, Sequence[int]], Sequence[int]] = every_budget
    spends: Callable[[SearchParams, S], float] = whole_budget
    vote: Callable[[SearchParams], Vote] = by_reward
    takes_m: bool = True
    is_timed: bool = False
    top_logprobs: int | None = None

    @property
    def lacks_verifier(self) -> str:
        """What to say where there is no verifier."""
        return (
            f"{self.name} needs a verifier beside the policy: add --prm URL, or --prm-api "
            "confidence, or use majority"
        )

    def settings_of(self, params: SearchParams) -> S:
        """Return the strategy's own settings; raises ConfigError for those of another one.

        What it shares with others may be given alone: the rest has its defaults.
        """
        given = params.settings
        if given is None:
            return self.settings()
        if isinstance(given, self.settings):
            return given
        if issubclass(self.settings, type(given)):
            return self.settings(**{f.name: getattr(given, f.name) for f in fields(given)})
        raise ConfigError(f"settings is {given!r}: {self.name} takes {self.settings.__name__}")

    def part_of(
        self, params: SearchParams, settings: StrategySettings, n: int, overrides: Mapping[str, Any]
    ) -> SearchParams:
        """Return params for a part of a search by another strategy with these settings.

        `overrides` are params, or settings of this strategy; it takes those settings of the other
        that it has too.
        """
        given = {s.name: getattr(settings, s.name) for s in fields(settings)} | dict(overrides)
        own = {s.name: given[s.name] for s in fields(self.settings) if s.name in given}
        changed = {name: value for name, value in overrides.items() if name not in own}
        whole = self.settings(**own)
        return replace(params, strategy=self.name, n=n, vote=None, settings=whole, **changed)

    def checked(self, params: SearchParams) -> SearchParams:
        """Return the params as the strategy runs them, with its N and its own settings.

        Raises ConfigError, naming the value and the fix, for what it cannot run with.
        """
        settings = self.settings_of(params)
        (n,) = self.budgets(params, settings, (params.n,))
        if self.needs == "nothing" and params.vote not in _COUNTED | {self.vote(params)}:
            raise ConfigError(
                f"vote is {params.vote}, but {self.name} uses no verifier: leave it out, or use "
                "best-of-n"
            )
        if params.temperature == 0 and n > 1:
            raise ConfigError(
                f"temperature is 0 and n is {n}: all samples would be the same; use greedy, or a "
                "temperature such as 0.8"
            )
        return replace(params, n=n, settings=settings)
