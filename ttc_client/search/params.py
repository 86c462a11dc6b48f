"""How to search: all that a strategy may depend on, checked before any request is sent."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from ttc_client.errors import ConfigError, did_you_mean
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Compat, Reduction, Vote

MAX_N = 100_000
"""The largest budget: each of N samples is held in memory, and N larger by accident is a typing
error that would fill it."""

_MOST = 2**31 - 1
SEEDS = range(-(2**63), 2**63)
"""What a server, and a run directory, can take as a seed."""


Thoughts = Literal["drop", "score"]
"""What a verifier reads of a model that thinks: the response alone, or the thought too."""

MAX_DELIMITERS = 4
"""As many stop strings as vLLM and TGI take."""


class ThoughtBudget(NamedTuple):
    """At least and at most so many tokens of a thought, its marks included."""

    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """What one strategy alone can be told; a strategy's own settings derive from this.

    Each field has a default, and in `metadata["help"]` a line for the command line. Checks of a
    value belong into `__post_init__`, and raise ConfigError.
    """

    def check_models(self, policy: str, prm: str | None) -> None:
        """Raise ConfigError if these settings are not meant for such models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """Say how to search.

    `n` is the budget, `m` the beam width; `max_tokens` limits a step and `max_completion_tokens`
    a whole completion. `vote` None leaves it to the strategy: "weighted", or "majority" where no
    verifier takes part; a "tournament" compares at most `pairs` of answers. Without `seeds` the
    randomness is left to the server. `settings` are the strategy's own, None for their defaults.
    `thoughts` says what a verifier reads of a model that thinks, and `step_delimiter` holds the
    strings that end a step. The defaults are those of the blog post; `compat` asks for the
    behaviour of its published toolkit, which knows no `max_completion_tokens`.
    `top_k` -1, `min_p` 0 and `presence_penalty` 0 change nothing. `think_tokens`, "MIN:MAX", bounds
    the thought; either may be left out.
    Raises ConfigError, naming the value and the fix, for values that no search can run with. What
    a strategy asks of them besides is checked by `Strategy.checked`.
    """

    strategy: str = "dvts"
    n: int = 16
    m: int = 4
    temperature: float = 0.8
    top_p: float = 1.0
    max_steps: int = 40
    max_tokens: int = 2048
    max_completion_tokens: int = 2048
    reduction: Reduction = "last"
    vote: Vote | None = None
    pairs: int = 64
    seed: int = 0
    seeds: bool = True
    compat: Compat | None = None
    settings: StrategySettings | None = None
    thoughts: Thoughts = "drop"
    step_delimiter: tuple[str, ...] = (STEP_DELIMITER,)
    top_k: int = -1
    min_p: float = 0.0
    presence_penalty: float = 0.0
    think_tokens: str | None = None

    def __post_init__(self) -> None:
        check_choice("thoughts", self.thoughts, Thoughts)
        _check_delimiters(self.step_delimiter)
        object.__setattr__(self, "step_delimiter", tuple(self.step_delimiter))  # a list, of JSON
        if self.compat and self.step_delimiter != (STEP_DELIMITER,):
            raise ConfigError(
                f"step_delimiter is {self.step_delimiter}, but the toolkit of compat splits "
                "at blank lines alone"
            )
        check_choice("reduction", self.reduction, Reduction)
        if self.vote is not None:
            check_choice("vote", self.vote, Vote)
        if self.compat is not None:
            check_choice("compat", self.compat, Compat)
        for name in ("n", "m", "pairs"):
            check_count(name, getattr(self, name), most=MAX_N)
        for name in ("max_steps", "max_tokens", "max_completion_tokens"):
            check_count(name, getattr(self, name))
        if self.seed not in SEEDS:
            raise ConfigError(f"seed is {self.seed}: it must be a number of 64 bits")
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"temperature is {self.temperature}: it must lie between 0 and 2")
        if self.top_k != -1:
            check_count("top_k", self.top_k)
        if not 0 <= self.min_p < 1:
            raise ConfigError(f"min_p is {self.min_p}: it must be at least 0 and below 1")
        if not -2 <= self.presence_penalty <= 2:
            raise ConfigError(
                f"presence_penalty is {self.presence_penalty}: it must lie between -2 and 2"
            )
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}: it must be above 0 and at most 1")
        if self.think_tokens is not None:
            _check_budget(self, self.thought_budget)

    @property
    def thought_budget(self) -> "ThoughtBudget | None":
        """The tokens that a thought may have, None where it may have any number."""
        if self.think_tokens is None:
            return None
        least, _, most = self.think_tokens.partition(":")
        try:
            return ThoughtBudget(int(least or 0), int(most or self.max_completion_tokens))
        except ValueError:
            raise ConfigError(
                f"think_tokens is {self.think_tokens!r}: write MIN:MAX, such as 500:4000"
            ) from None


def check_count(name: str, value: int, least: int = 1, most: int = _MOST) -> None:
    """Raise ConfigError for a number below the least one or above the largest."""
    if value < least:
        raise ConfigError(f"{name} is {value}: it must be {least} or more")
    if value > most:
        raise ConfigError(f"{name} is {value}: it must be {most:,} or less")


def _check_delimiters(delimiters: tuple[str, ...]) -> None:
    if not 1 <= len(delimiters) <= MAX_DELIMITERS:
        raise ConfigError(
            f"step_delimiter has {len(delimiters)} strings: servers take 1 to {MAX_DELIMITERS}"
        )
    for delimiter in delimiters:
        if not delimiter:
            raise ConfigError("step_delimiter is empty: name the string that ends a step")
        if delimiter.startswith(("re:", "regex:")):
            raise ConfigError(
                f"step_delimiter is {delimiter!r}: no server stops at a regular expression; name "
                "the strings themselves, up to four"
            )


def _check_budget(params: SearchParams, budget: ThoughtBudget | None) -> None:
    said = f"think_tokens is {params.think_tokens}"
    if budget is None or ":" not in (params.think_tokens or ""):
        raise ConfigError(f"{said}: write MIN:MAX, such as 500:4000; either may be left out")
    least, most = budget
    is_open = (params.think_tokens or "").endswith(":")
    if least < 0 or (not is_open and (least > most or most < 1)):
        raise ConfigError(f"{said}: MIN must not be above MAX, nor MAX below 1")
    if (least if is_open else most) >= params.max_completion_tokens:
        raise ConfigError(
            f"{said}, but max_completion_tokens is {params.max_completion_tokens}, which leaves "
            "no room for the answer: raise it"
        )
    if params.compat:
        raise ConfigError(f"{said}, but the toolkit of compat knows no thoughts: leave one out")
    if params.thoughts == "score" and len(params.step_delimiter) == MAX_DELIMITERS:
        raise ConfigError(
            f"{said}, and the mark that ends a thought is a stop string too, beside "
            f"{MAX_DELIMITERS} of step_delimiter: name one less"
        )


def check_choice(name: str, value: object, choices: Any) -> None:
    """Raise ConfigError unless a value is among those of a Literal."""
    if value not in get_args(choices):
        known = [str(choice) for choice in get_args(choices)]
        hint = did_you_mean(str(value), known)
        raise ConfigError(f"{name} is {value!r}: it must be one of {', '.join(known)}{hint}")
