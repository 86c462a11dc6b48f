"""Profiles: named ways to search, each a model's name for callers; and how a request departs."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ttc_client.errors import ConfigError, did_you_mean
from ttc_client.files import read_small
from ttc_client.gateway.bodies import Extension
from ttc_client.gateway.refusals import RefusedError
from ttc_client.search.params import SearchParams
from ttc_client.search.strategies import STRATEGIES, find_strategy
from ttc_client.settings.config import PARAMS, Settings, typed
from ttc_client.tasks.table import find_task
from ttc_client.tasks.task import Task

_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"\d*\.?\d+", re.ASCII)
_FORM = "NAME=STRATEGY:N[,SETTING=VALUE...]"
DEFAULTS = ("fast=best-of-n:8", "hard=dvts:64")
WITHOUT_VERIFIER = ("fast=majority:8", "hard=majority:64")
DEMO = tuple(f"{line},task=math" for line in DEFAULTS)
"""The demo models know nothing but mathematics, under its prompt."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A way to search. Without a `task`, the conversation is left as it is.

    `at_zero` is the temperature of several samples where a caller asks for 0, at which they would
    all be the same; None refuses that.
    """

    name: str
    params: SearchParams
    task: Task | None = None
    at_zero: float | None = None

    @property
    def spends(self) -> float:
        """What a search may sample at most, in generations: the ceiling of whoever departs."""
        return _spends(self.params)


def read_profiles(
    given: Iterable[str], file: Path | None, settings: Settings
) -> dict[str, Profile]:
    """Return profiles by name, from flags and from a TOML file; raises ConfigError.

    Without any, two that show what there is.
    """
    lines = [*_lines(file), *given] if file else list(given)
    if not lines:
        servers = settings.servers
        lines = DEMO if servers.is_demo else DEFAULTS if servers.has_verifier else WITHOUT_VERIFIER
    profiles = [read_profile(line, settings) for line in lines]
    return {profile.name: profile for profile in profiles}


def _lines(file: Path) -> list[str]:
    try:
        table = tomllib.loads(read_small(file).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"profiles is {file}, which cannot be read as TOML: {error}") from error
    for name, value in table.items():
        if not isinstance(value, str):
            raise ConfigError(f'{file} sets {name} to {value!r}: write {name} = "STRATEGY:N"')
    return [f"{name}={value}" for name, value in table.items()]


def read_profile(line: str, settings: Settings) -> Profile:
    """Read NAME=STRATEGY:N,SETTING=VALUE; raises ConfigError that quotes it."""
    name, equals, rest = line.partition("=")
    how, *more = rest.split(",")
    strategy, colon, n = how.rpartition(":")
    if not equals or not colon or not n.isdecimal():
        raise ConfigError(f"profile is {line!r}: it must be {_FORM}")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"profile is {line!r}: its name must be of letters, digits, . _ or -")
    pairs = [pair.partition("=") for pair in more]
    values = {key.strip().replace("-", "_"): value for key, _, value in pairs}
    task = values.pop("task", None)
    if task is None and settings.origins["task"] != "default":
        task = settings.values["task"]
    record = find_strategy(strategy)
    at_zero = _at_zero(line, values.pop("at_zero", None))
    known = {*PARAMS, *(field.name for field in fields(record.settings))} - {"strategy", "n"}
    for key in values:
        if key not in known:
            hint = did_you_mean(key, {*known, "at_zero"})
            raise ConfigError(f"profile is {line!r}: {strategy} has no setting {key}{hint}")
    overrides = {key: typed(key, value, f"profile {name}") for key, value in values.items()}
    params = settings.params_for(strategy=strategy, n=int(n), **overrides)
    if params.compat is not None:
        raise ConfigError(f"profile is {line!r}: compat is for benches")
    return Profile(name, params, find_task(task) if task else None, at_zero)


def _at_zero(line: str, value: str | None) -> float | None:
    if value is None:
        return None
    temperature = float(value) if _NUMBER.fullmatch(value) else 0.0
    if not 0 < temperature <= 2:
        raise ConfigError(
            f"profile is {line!r}: at-zero is {value}: it must be above 0 and at most 2"
        )
    return temperature


def departed(profile: Profile, extension: Extension) -> SearchParams:
    """Return a profile's params as a request changes them; raises RefusedError above its ceiling.

    Only strategies of the table can be named, and no setting that is a file.
    """
    params = profile.params
    name = extension.strategy or params.strategy
    if name not in STRATEGIES:
        hint = did_you_mean(name, STRATEGIES)
        raise RefusedError(
            f"ttc.strategy is {name!r}: it must be one of {', '.join(STRATEGIES)}{hint}",
            param="ttc",
        )
    changes: dict[str, Any] = {
        key: value
        for key in ("n", "m", "vote", "reduction", "max_steps")
        if (value := getattr(extension, key)) is not None
    }
    try:
        if name != params.strategy:
            changes |= {"strategy": name, "settings": None, "vote": changes.get("vote")}
        params = replace(params, **changes)
        params = replace(params, settings=_own(params, extension.settings or {}))
        params = find_strategy(name).checked(params)
    except ConfigError as error:
        raise RefusedError(f"ttc: {error}", param="ttc") from error
    limit = profile.params
    if _spends(params) > profile.spends or params.max_steps > limit.max_steps:
        raise RefusedError(
            f"ttc asks for {params.strategy} at n = {params.n}, which spends more than the profile "
            f"{profile.name} allows ({limit.strategy} at n = {limit.n})",
            param="ttc",
        )
    return params


def _own(params: SearchParams, changes: Mapping[str, Any]) -> Any:
    """Return the strategy's own settings with changes; raises ConfigError."""
    record = find_strategy(params.strategy)
    own = record.settings_of(params)
    known = {field.name for field in fields(record.settings)} - {"table"}
    for name in changes:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(
                f"{params.strategy} has no setting {name} that a caller may change{hint}"
            )
    return replace(own, **{n: typed(n, value, "ttc.settings") for n, value in changes.items()})


def _spends(params: SearchParams) -> float:
    record = find_strategy(params.strategy)
    return record.spends(params, record.settings_of(params))
