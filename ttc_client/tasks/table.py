"""The table of tasks. A new one is a file, and a line here."""

from dataclasses import Field, fields
from importlib import import_module
from typing import Any, Final

from ttc_client.errors import ConfigError, did_you_mean
from ttc_client.tasks.choice import Choice
from ttc_client.tasks.code import Code
from ttc_client.tasks.math import Math
from ttc_client.tasks.open import Open
from ttc_client.tasks.structured import Json
from ttc_client.tasks.task import Task
from ttc_client.tasks.text import Text

TASKS: Final[dict[str, type[Any]]] = {
    "math": Math,
    "choice": Choice,
    "text": Text,
    "json": Json,
    "code": Code,
    "open": Open,
}
"""By name, in the order in which help and `ttc tasks` show them; each class makes a task."""

OPTIONS: Final[dict[str, Field[Any]]] = {
    field.name: field
    for kind in reversed(TASKS.values())
    for field in fields(kind)
    if "help" in field.metadata
}
"""The settings that belong to some tasks alone: flags and recipe keys are made from them."""


def find_task(name: str, **options: Any) -> Task:
    """Return a task by its name in the table, or as `module:name` from elsewhere.

    Options that are None leave the task its own. Raises ConfigError for a task that there is not,
    or that does not have an option.
    """
    found: Any = TASKS.get(name) or _imported(name)
    is_class = isinstance(found, type)
    given = {option: value for option, value in options.items() if value is not None}
    known = _names(found) if is_class else set[str]()
    if unknown := given.keys() - known:
        having = [each for each, kind in TASKS.items() if min(unknown) in _names(kind)]
        other = f", or use {' or '.join(having)}" if having else ""
        raise ConfigError(f"task is {name!r}, which has no {min(unknown)}: leave it out{other}")
    task = _made(name, found, given) if is_class else found
    if lacking := [method for method in _METHODS if not callable(getattr(task, method, None))]:
        raise ConfigError(f"task is {name!r}, which is not a task: it has no {lacking[0]}()")
    return task


def _names(kind: type[Any]) -> set[str]:
    return set(getattr(kind, "__dataclass_fields__", ()))


_METHODS = ("messages", "extract", "keys", "grade")


def _made(name: str, kind: type[Any], arguments: dict[str, Any]) -> Any:
    try:
        return kind(**arguments)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"task is {name!r}, which cannot be made: {error}") from error


def _imported(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            return getattr(import_module(module), attribute)
    except Exception as error:  # whatever a module of the user's raises
        raise ConfigError(f"task is {name!r}, which cannot be imported: {error}") from error
    hint = did_you_mean(name, TASKS)
    raise ConfigError(f"task is {name!r}: it must be {', '.join(TASKS)}, or module:name{hint}")
