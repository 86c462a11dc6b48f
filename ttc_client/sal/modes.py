"""The two ways to search and judge: our own, and under `--compat sal` the published toolkit's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ttc_client.errors import ConfigError
from ttc_client.sal.judge import RULES, extract_answer
from ttc_client.sal.strategies import STRATEGIES as SAL_STRATEGIES
from ttc_client.search.results import Rules
from ttc_client.search.strategies import STRATEGIES, Table
from ttc_client.tasks.math import Math
from ttc_client.tasks.task import Task
from ttc_client.types import Compat


@dataclass(frozen=True, slots=True)
class Mode:
    """The strategies, the rules for candidates, and the task as it is judged."""

    strategies: Table
    rules: Rules
    task: Callable[[Task], Task]


def _toolkits(task: Task) -> Task:
    if not isinstance(task, Math):
        raise ConfigError(f"task is {task.name}, but the toolkit that compat names does math alone")
    return replace(task, read_answer=extract_answer)


def _as_it_is(task: Task) -> Task:
    return task


MODES: Final[dict[Compat | None, Mode]] = {
    None: Mode(STRATEGIES, Rules(), _as_it_is),
    "sal": Mode(SAL_STRATEGIES, RULES, _toolkits),
}
