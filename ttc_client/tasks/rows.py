"""How a task reads the rows of a problem set: an optional part of the seam.

A task that has `columns`, `needs_gold`, `read` and `settle` reads options, tests or whatever else
its rows hold; for one without them a row is a question and an answer. Knows nothing of files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from ttc_client.tasks.task import Task
from ttc_client.types import Problem

Row = Mapping[str, Any]
Cell = Callable[[str], Any]
"""Returns a field's cell of a row, from the column that it was said to be in or a usual one; None
where there is none."""


class UnreadableRowError(ValueError):
    """A row that is not a problem of the task; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a task reads off a row: `data` for the problem, and what replaces the text of its cells.

    `question` and `gold` are None where the text of their cells is theirs.
    """

    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    question: str | None = None
    gold: str | None = None


class RowReader(Protocol):
    """What a task may have beside the methods of `Task`."""

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The usual columns of its fields, before those that all tasks know."""
        ...

    @property
    def needs_gold(self) -> bool:
        """Whether a row without an answer is left out."""
        ...

    def read(self, row: Row, cell: Cell) -> Reading:
        """Read a row; raises UnreadableRowError for one that is not a problem."""
        ...

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return the problems of a whole set as they are asked; raises ConfigError."""
        ...


class _Plain:
    columns: Mapping[str, tuple[str, ...]] = {}
    needs_gold = True

    def read(self, row: Row, cell: Cell) -> Reading:
        return Reading()

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        return problems


def reader_of(task: Task) -> RowReader:
    """Return how a task reads rows."""
    return cast(RowReader, task) if hasattr(task, "settle") else _Plain()
