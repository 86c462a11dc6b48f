"""Make problems of rows: which column holds what, and what the task reads beside it.

Knows nothing of files.
"""

import re
from collections.abc import Mapping
from contextlib import suppress

from ttc_client.bench.cells import CellError, question_of, text_of
from ttc_client.bench.readers import SPILLED, Row
from ttc_client.errors import ConfigError
from ttc_client.tasks.rows import Reading, UnreadableRowError, reader_of
from ttc_client.tasks.task import Task
from ttc_client.types import Problem

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("unique_id", "id"),
    "problem": ("problem", "question"),
    "answer": ("answer",),
    "solution": ("solution",),
    "level": ("level",),
    "subject": ("subject", "type"),
}
"""What a problem is made of, and the columns it is looked for in, the first that exists."""

_GSM8K_MARK = "####"
_SOLUTION = re.compile(r"\\(?:boxed|fbox)\b|\banswer\s+is\b|\banswer\**\s*:", re.IGNORECASE)
"""What in an answer's cell says that it holds a solution, off which the answer is to be read."""


class LackingError(Exception):
    """A row that is not a problem; `short` says where it is and what it lacks."""

    def __init__(self, short: str, message: str) -> None:
        super().__init__(message)
        self.short = short


class RowProblems:
    """Makes the problems of a set's rows, for a task.

    `columns` says where a field is found if not under its usual names. Raises ConfigError for a
    field that there is not.
    """

    def __init__(self, task: Task, columns: Mapping[str, str], source: str) -> None:
        self._task, self._named, self._source = task, columns, source
        self._reader = reader_of(task)
        self._usual = {**COLUMNS, **self._reader.columns}
        for field in columns:
            if field not in self._usual:
                known = ", ".join(self._usual)
                raise ConfigError(f"column is {field!r}: it must be one of {known}")

    def problem(self, row: Row, index: int) -> Problem:
        """Return a row's problem, its id "" where none is given.

        Raises LackingError for a row without one, and ConfigError for a cell that is not text.
        """
        if SPILLED in row:
            raise self._lacking(
                index, "has more cells than columns", ": is a text with a comma in it not quoted?"
            )
        try:
            reading = self._reader.read(row, lambda name: row.get(self._column(row, name)))
        except UnreadableRowError as error:
            raise self._lacking(index, str(error), self._way_on(row, "FIELD")) from None
        question = reading.question or self._text(row, index, "problem")
        gold = self._gold(row, index, question, reading)
        needed = {"problem": question, **({"answer": gold} if self._reader.needs_gold else {})}
        for name, value in needed.items():
            if not value.strip():
                raise self._lacking(index, f"has no {name}", self._way_on(row, name))
        return Problem(
            question=question,
            id=self._text(row, index, "id"),
            gold=gold,
            level=level_name(self._text(row, index, "level")),
            subject=self._text(row, index, "subject"),
            data=reading.data,
        )

    def _gold(self, row: Row, index: int, question: str, reading: Reading) -> str:
        if reading.gold is not None:
            return reading.gold
        if not (gold := self._text(row, index, "answer")):
            return self._solved(self._text(row, index, "solution"), question)
        if _GSM8K_MARK in gold:
            return gold.rpartition(_GSM8K_MARK)[2].strip()
        return (_SOLUTION.search(gold) and self._solved(gold, question)) or gold

    def _solved(self, solution: str, question: str) -> str:
        return self._task.extract(Problem(question=question), solution) if solution else ""

    def _column(self, row: Row, name: str) -> str:
        return self._named.get(name) or _usual_column(row, self._usual[name])

    def _text(self, row: Row, index: int, name: str) -> str:
        column = self._column(row, name)
        if row.get(column) is None:
            if name in self._named:
                raise self._lacking(index, f"has no column {column!r}", "")
            return ""
        try:
            return (question_of if name == "problem" else text_of)(row[column])
        except CellError as error:
            if name not in ("problem", "answer"):
                return ""
            raise ConfigError(
                f"{self._source}: row {index} holds {error} in the column {column!r}, which cannot "
                f"be the {name}: name another column with --column {name}=COLUMN"
            ) from error

    def _lacking(self, index: int, lack: str, more: str) -> LackingError:
        short = f"row {index} {lack}"
        return LackingError(short, f"{self._source}: {short}{more}")

    def _way_on(self, row: Row, name: str) -> str:
        return f"; its columns are {', '.join(row)}: name the right one with --column {name}=COLUMN"


def _usual_column(row: Row, names: tuple[str, ...]) -> str:
    return next((key for key in names if row.get(key) is not None), "")


def usual_cell(row: Row, name: str) -> str:
    """Return what a row has in the first of a field's usual columns, "" where it has no text."""
    with suppress(CellError):
        return text_of(row.get(_usual_column(row, COLUMNS[name])))
    return ""


def level_name(text: str) -> str:
    """Return a level as data sets that agree name it: "5", also where one says "Level 5"."""
    return text.removeprefix("Level ").strip()
