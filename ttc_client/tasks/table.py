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
        return found() if system_prompt is None else found(system_prompt=system_prompt)
    if system_prompt is not None:
        raise ConfigError(f"task is {name!r}, whose prompt is its own: leave system_prompt out")
    return found


def _imported(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"task is {name!r}, which cannot be imported: {error}") from error
    raise ConfigError(f"task is {name!r}: it must be {', '.join(TASKS)}, or module:name")
