"""Which verifiers the settings name: how each is asked, where, and what it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeVar, get_args

from ttc_client.errors import ConfigError, did_you_mean

PRMApi = Literal[
    "auto",
    "score",
    "generative-scoring",
    "completions",
    "token-classify",
    "step-pooling",
    "classify",
    "tgi",
    "tei",
    "llama-cpp",
    "judge",
    "self",
    "confidence",
    "tests",
]
"""How a verifier is asked; `python:module:function` names one of the user's own."""

Combine = Literal["mean", "min", "product"]
"""How the scores of several verifiers become one: the weighted mean, the least one, or the product
of each to the power of its weight."""

_WITHOUT_SERVER = ("self", "confidence")
_FUNCTIONS = {"tests": "python:ttc_client.tasks.public_tests:public_tests"}
"""Verifiers that are functions of our own."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class NamedVerifier:
    """A verifier as it is named: its API, and its weight among several."""

    api: str
    weight: float = 1.0

    @property
    def needs_place(self) -> bool:
        """Whether it is at a server, or a function, that `prm` names."""
        return self.api not in _WITHOUT_SERVER and not self.function

    @property
    def function(self) -> str:
        """The function that it is, as `python:module:function`, "" where it is none."""
        return _FUNCTIONS.get(self.api, self.api if self.api.startswith("python:") else "")


def named_verifiers(text: str) -> tuple[NamedVerifier, ...]:
    """Read `api[=weight]`, several with commas; raises ConfigError for what is no verifier."""
    return tuple(_named(part.strip()) for part in text.split(","))


def _named(part: str) -> NamedVerifier:
    api, equals, weight = part.partition("=")
    known = get_args(PRMApi)
    if api not in known and not (api.startswith("python:") and api.count(":") == 2):
        raise ConfigError(
            f"prm_api is {api!r}: it must be one of {', '.join(known)}, or "
            f"python:module:function{did_you_mean(api, known)}"
        )
    if not equals:
        return NamedVerifier(api)
    try:
        number = float(weight)
    except ValueError:
        number = 0.0
    if not (number > 0 and isfinite(number)):
        raise ConfigError(f"the weight of {api} is {weight!r}: it must be a number above 0")
    return NamedVerifier(api, number)


def check_verifiers(text: str, num_places: int, combine: Combine | None) -> None:
    """Raise ConfigError for verifiers that the places and the way to combine do not fit."""
    named = named_verifiers(text)
    placed = [one for one in named if one.needs_place]
    if num_places and not placed:
        raise ConfigError(
            f"prm is given, but {text} needs no server: leave --prm out, or name how it is asked "
            f"too, as in --prm-api auto,{text} --combine mean"
        )
    weighted = [one for one in named if one.weight != 1]
    if combine is None:
        if len(named) > 1:
            raise ConfigError(
                f"prm_api is {text!r}: several verifiers need --combine mean, min or product"
            )
        if weighted:
            raise ConfigError(f"prm_api is {text!r}: a weight needs several, and --combine")
        return
    if num_places and len(placed) not in (1, num_places):
        raise ConfigError(
            f"prm_api names {len(placed)} verifiers at servers, but prm {num_places}: name an API "
            "for each --prm, in their order, or one for all"
        )
    if len(named) - len(placed) + max(len(placed), num_places) < 2:
        raise ConfigError(f"combine is {combine}, but there is one verifier: leave it out")
    if weighted and combine == "min":
        raise ConfigError("combine is min, in which weights count nothing: leave them out")


def spread(
    text: str, places: Sequence[P], combine: Combine | None
) -> list[tuple[NamedVerifier, Sequence[P]]]:
    """Return each verifier with its places: replicas, or none where it needs no place.

    What is combined has one place each, in order.
    """
    named = named_verifiers(text)
    if combine is None:
        return [(one, places if one.needs_place else ()) for one in named]
    placed = [one for one in named if one.needs_place]
    if len(placed) == 1:
        placed *= len(places)
    alone = [(one, ()) for one in named if not one.needs_place]
    return [*((one, (place,)) for one, place in zip(placed, places, strict=True)), *alone]
