"""The table of tasks. A new one is a file, and a line here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from ttc_client.errors import ConfigError
from ttc_client.tasks.math import Math
from ttc_client.tasks.task import Task

TASKS: Final[dict[str, Callable[..., Task]]] = {"math": Math}
"""By name; each makes a task, with a system prompt of the user's own if it is given one."""


def find_task(name: str, system_prompt: str | None = None) -> Task:
    """Return a task by its name in the table, or as `module:name` from elsewhere.

    `system_prompt` None leaves the task its own. Raises ConfigError for a task that there is not.
    """
    found: Any = TASKS.get(name) or _imported(name)
    if isinstance(found, type) or name in TASKS:
        found = _made(
            name, found, {} if system_prompt is None else {"system_prompt": system_prompt}
        )
    elif system_prompt is not None:
        raise ConfigError(f"task is {name!r}, whose prompt is its own: leave system_prompt out")
    if lacking := [method for method in _METHODS if not callable(getattr(found, method, None))]:
        raise ConfigError(f"task is {name!r}, which is no task: it has no {lacking[0]}()")
    return found


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
