"""Functions of the user's own, named as `python:module:function`, and how answers are scored."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from math import nan
from typing import Any

from ttc_client.errors import ConfigError, TTCError, did_you_mean
from ttc_client.types import Problem

_PREFIX = "python:"

Measure = Callable[[str, str], float]
"""Says how right an answer is, from 0 to 1, given the gold answer."""


@lru_cache(maxsize=64)
def python_function(name: str, setting: str) -> Callable[..., Any]:
    """Return the function that `python:module:function` names; raises ConfigError."""
    module, _, attribute = name.removeprefix(_PREFIX).partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
    except Exception as error:  # whatever a module of the user's raises
        raise ConfigError(f"{setting} is {name!r}, which cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigError(f"{setting} is {name!r}, which is not a function but {found!r}")
    return found


async def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, sync or async, off the event loop; raises TTCError for what it raises."""
    try:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        return await asyncio.to_thread(function, *arguments)
    except TTCError:
        raise
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise TTCError(f"{name} raised {type(error).__name__}: {error}") from error


def check_measure(score: str, measures: Mapping[str, Measure]) -> None:
    """Raise ConfigError for a score that is neither in the table nor a function."""
    if score.startswith(_PREFIX):
        python_function(score, "score")
    elif score not in measures:
        known = ", ".join(measures)
        hint = did_you_mean(score, measures)
        raise ConfigError(
            f"score is {score!r}: it must be one of {known}, or python:module:function{hint}"
        )


async def scored(
    score: str,
    measures: Mapping[str, Measure],
    problem: Problem,
    answers: Sequence[str],
    golds: Sequence[str],
) -> Sequence[float]:
    """Return the score of each answer, the best over the gold answers; NaN without a gold one.

    A function of the user's gets the problem and an answer. Raises TTCError for what it raises,
    and for what it returns that is not a number from 0 to 1.
    """
    if not score.startswith(_PREFIX):
        measure = measures[score]
        return [max((measure(answer, gold) for gold in golds), default=nan) for answer in answers]
    function = python_function(score, "score")
    return [share_of(await called(function, problem, answer), score) for answer in answers]


def share_of(value: Any, name: str) -> float:
    """Return what a function returned as a number from 0 to 1; raises TTCError for others."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = nan
    if not 0 <= share <= 1:
        raise TTCError(f"{name} returned {value!r}: it must be a number from 0 to 1")
    return share
