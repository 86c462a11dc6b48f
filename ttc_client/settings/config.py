"""All settings by one flat list of names, and where they come from: flags, environment, file.

The flags of the command line, the keys of a TOML file and the variables of the environment are all
made from the fields of `SearchParams`, of the strategies' own settings, and of `Servers`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec

from ttc_client.errors import ConfigError, did_you_mean
from ttc_client.files import read_small
from ttc_client.sal.modes import MODES
from ttc_client.search.params import SearchParams
from ttc_client.search.strategies import STRATEGIES, find_strategy
from ttc_client.search.strategy import Strategy
from ttc_client.settings.servers import ENVIRONMENT_PREFIX, SECRETS, Servers
from ttc_client.settings.table_file import read_table
from ttc_client.tasks.table import OPTIONS, find_task
from ttc_client.tasks.task import Task

DEFAULT_FILE = Path("ttc.toml")
KEYS_VARIABLE = "TTC_SERVE_KEYS"
"""Holds the API keys of those who may ask `ttc serve`; a secret, and so not a setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """What is asked: a task by name, and what replaces its own prompt and grader."""

    task: str = "math"
    system_prompt: str | None = None
    grader: str | None = None


def _fields(kinds: Iterable[type[Any]]) -> dict[str, Field[Any]]:
    return {field.name: field for kind in kinds for field in fields(kind)}


PARAMS = {name: f for name, f in _fields([SearchParams]).items() if name != "settings"}
OWN = _fields(strategy.settings for strategy in STRATEGIES.values())
"""The settings that belong to some strategies alone."""
SERVERS, TASK = _fields([Servers]), {**_fields([TaskSettings]), **OPTIONS}
SETTINGS: Final[Mapping[str, Field[Any]]] = {**PARAMS, **OWN, **SERVERS, **TASK}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force, and for each where the value came from.

    `values` holds them by name, secrets included: it is not for showing.
    """

    values: dict[str, Any]
    origins: dict[str, str]
    servers: Servers
    task: Task

    @property
    def params(self) -> SearchParams:
        """How to search; raises ConfigError for settings that the strategy does not have."""
        strategy = self.values["strategy"]
        self.check_own((strategy,))
        return self.params_for()

    def params_for(self, **cell: Any) -> SearchParams:
        """Return the checked params of one cell of a grid: strategy, N, seed.

        Settings that its strategy does not have are left out. Raises ConfigError.
        """
        strategy, params = self.cell(**cell)
        if strategy.needs != "nothing" and not self.servers.has_verifier:
            if self.servers.prm_api != "auto":
                raise ConfigError(
                    f"prm_api is {self.servers.prm_api}, which is asked at a server: add --prm URL"
                )
            raise ConfigError(strategy.lacks_verifier)
        return strategy.checked(params)

    def servers_for(self, searches: Iterable[SearchParams]) -> Servers:
        """Return the servers that some searches need: without the verifier if none uses it."""
        for search in searches:
            scored = find_strategy(search.strategy).needs != "nothing"
            if scored or search.vote == "tournament":
                return self.servers
        return self.servers.without_verifier()

    def cell(self, **cell: Any) -> tuple[Strategy[Any], SearchParams]:
        """Return the strategy of a cell, and its params before the strategy has checked them."""
        values = {**self.values, **cell}
        strategy = find_strategy(values["strategy"], MODES[values["compat"]].strategies)
        own = {f.name: values[f.name] for f in fields(strategy.settings) if f.name in values}
        shared = {name: values[name] for name in PARAMS}
        return strategy, SearchParams(**shared, settings=strategy.settings(**own))

    def check_own(self, strategies: Sequence[str]) -> None:
        """Raise ConfigError for a flag that was given and that none of the strategies has.

        A file or the environment may set what only some searches need.
        """
        mode = MODES[self.values["compat"]]
        records = [find_strategy(name, mode.strategies) for name in strategies]
        known = {field.name for record in records for field in fields(record.settings)}
        for name in OWN:
            if name not in known and self.origins[name] == "flag":
                among = mode.strategies.values()
                having = " or ".join(s.name for s in among if name in _fields([s.settings]))
                raise ConfigError(
                    f"{name} is {self.values[name]}, but {', '.join(strategies)} has no such "
                    f"setting: leave it out{having and f', or use {having}'}"
                )


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Merge flags over environment over a TOML file over defaults.

    A flag that is None was not given. `file` None means `ttc.toml` where there is one. Raises
    ConfigError that names the setting, its value and where it came from.
    """
    path = file or DEFAULT_FILE
    table = read_toml(path, [*SETTINGS], required=file is not None)
    return merge_settings(flags, environment, table, str(path))


def merge_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], table: Mapping[str, Any], path: str
) -> Settings:
    """Merge flags over environment over the table of a file over defaults; raises ConfigError."""
    values: dict[str, Any] = {name: field.default for name, field in SETTINGS.items()}
    values |= dict.fromkeys(OPTIONS)  # each task has defaults of its own
    origins = dict.fromkeys(SETTINGS, "default")
    _check_environment(environment)
    variables = {name: ENVIRONMENT_PREFIX + name.upper() for name in SETTINGS}
    given = [(name, value, path) for name, value in table.items()]
    given += [(n, environment[v], v) for n, v in variables.items() if v in environment]
    given += [(name, value, "flag") for name, value in flags.items() if value is not None]
    for name, value, origin in given:
        values[name] = typed(name, value, origin)
        origins[name] = origin
    servers = Servers(**{name: values[name] for name in SERVERS})
    options = {name: values[name] for name in TASK if name != "task"}
    task = find_task(values["task"], **options)
    return Settings(values, origins, servers, task)


def read_toml(path: Path, names: Sequence[str], *, required: bool) -> dict[str, Any]:
    """Read a TOML file that may set the names given; raises ConfigError for others and secrets."""
    try:
        table = tomllib.loads(read_small(path).decode("utf-8-sig"))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"config is {path}: there is no such file") from None
        return {}
    except RecursionError:
        raise ConfigError(f"{path} cannot be read as TOML: it is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error
    for key in table:
        if key not in names:
            hint = did_you_mean(key, names)
            raise ConfigError(f"{path} sets {key!r}, which is not a setting{hint}")
        if key in SECRETS:
            raise ConfigError(
                f"{path} holds {key}: put API keys into {ENVIRONMENT_PREFIX}{key.upper()} instead"
            )
    return table


def is_text(value: str) -> bool:
    """Whether what the system handed over was text: bytes that are not become surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _check_environment(environment: Mapping[str, str]) -> None:
    """Raise ConfigError for a variable that almost has one of our names, or that is not text."""
    known = {ENVIRONMENT_PREFIX + name.upper() for name in SETTINGS} | {KEYS_VARIABLE}
    for name, value in environment.items():
        if name in known and not is_text(value):
            raise ConfigError(f"{name} in the environment holds bytes that are not UTF-8 text")
        is_ours = name.startswith(ENVIRONMENT_PREFIX) and name not in known
        if is_ours and (hint := did_you_mean(name, known)):
            raise ConfigError(f"the environment sets {name}, which is not a setting{hint}")


def typed(name: str, value: Any, origin: str) -> Any:
    """Convert a value, often a string, to its setting's type."""
    if name in ("policy", "prm"):
        given: Any = value.split(",") if isinstance(value, str) and value else value or ()
        if not isinstance(given, list | tuple) or not all(map(_is_place, cast(list[Any], given))):
            said = "" if "@" in repr(value) else f" is {value!r}"  # it may hold a password
            raise ConfigError(f"{name}{said} (from {origin}): it must be a list of URLs")
        return tuple(cast(Sequence[Any], given))
    wanted = SETTINGS[name].type
    if name == "step_delimiter":
        value = _unescaped([value] if isinstance(value, str) else value)
    if name == "header" and isinstance(value, str):
        value = value.split(",")
    if name == "table" and isinstance(value, str):
        return read_table(Path(value))
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        choices = ", ".join(_choices(wanted))
        wish = f"it must be one of {choices}" if choices else str(error)
        for kind, noun in ((int, "a whole number"), (float, "a number")):
            if kind in (wanted, *get_args(wanted)):
                wish = f"it must be {noun}{choices and f', or {choices}'}"
        raise ConfigError(f"{name} is {value!r} (from {origin}): {wish}") from error


def _unescaped(delimiters: Any) -> Any:
    r"""Return strings with what a shell cannot write: \n, \t and \\."""
    if not isinstance(delimiters, list | tuple):
        return delimiters
    escapes = {"n": "\n", "t": "\t", "\\": "\\"}
    return tuple(
        re.sub(r"\\([nt\\])", lambda found: escapes[found[1]], one) if isinstance(one, str) else one
        for one in cast(Sequence[Any], delimiters)
    )


def _is_place(place: object) -> bool:
    return isinstance(place, str) or callable(place)


def _choices(kind: Any) -> list[str]:
    """Return the strings that a Literal allows, also inside a union with None."""
    if isinstance(kind, str):
        return [kind]
    return [choice for member in get_args(kind) for choice in _choices(member)]
