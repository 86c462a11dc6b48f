"""The table of tasks. A new one is a file, and a line here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from ttc_client.errors import ConfigError
from ttc_client.tasks.math import Math
from ttc_client.tasks.task import Task

TASKS: Final[dict[str, Callable[..., Task]]] = {"math": Math}
"""By name; each makes a task, with a system prompt of the user's own if it is given one."""


def find_task(name: str, **options: Any) -> Task:
    """Return a task by its name in the table, or as `module:name` from elsewhere.

    Options that are None leave the task its own. Raises ConfigError for a task that there is not,
    or that does not have an option.
    """
    found: Any = TASKS.get(name) or _imported(name)
    is_class = isinstance(found, type)
    given = {option: value for option, value in options.items() if value is not None}
    known = set(getattr(found, "__dataclass_fields__", ())) if is_class else set[str]()
    if unknown := given.keys() - known:
        raise ConfigError(f"task is {name!r}, which has no {min(unknown)}: leave it out")
    task = _made(name, found, given) if is_class else found
    if lacking := [method for method in _METHODS if not callable(getattr(task, method, None))]:
        raise ConfigError(f"task is {name!r}, which is not a task: it has no {lacking[0]}()")
    return task


_METHODS = ("messages", "extract", "keys", "grade")


def _made(name: str, kind: Callable[..., Any], arguments: dict[str, str]) -> Any:
    try:
        return kind(**arguments)
    except Exception as error:
        raise ConfigError(f"task is {name!r}, which cannot be made: {error}") from error


def _imported(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            return getattr(import_module(module), attribute)
    except Exception as error:  # whatever a module of the user's raises
        raise ConfigError(f"task is {name!r}, which cannot be imported: {error}") from error
    raise ConfigError(f"task is {name!r}: it must be {', '.join(TASKS)}, or module:name")
