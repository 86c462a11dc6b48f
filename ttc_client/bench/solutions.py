"""Read solutions whose steps were judged, to judge verifiers by: ProcessBench's and PRMBench's.

The layout is told by its columns alone. A step is never split, whatever it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ttc_client.bench.cells import CellError, text_of
from ttc_client.bench.readers import Row
from ttc_client.bench.sources import rows_of
from ttc_client.errors import ConfigError
from ttc_client.types import Problem

_SHOWN = 5
_RIGHT = -1
"""ProcessBench's label of a solution without a wrong step."""

_REDUNDANCY = "redundency"
"""The class, so spelt, whose unmodified solutions are PRMBench's right ones."""

PRMBENCH_RIGHT = "correct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A solution in steps, and for each step whether it is right; None where nobody said."""

    id: str
    subset: str
    problem: Problem
    steps: tuple[str, ...]
    labels: tuple[bool | None, ...]

    @property
    def error(self) -> int | None:
        """The index of the first wrong step, from 0; None in a right solution."""
        return self.labels.index(False) if False in self.labels else None


@dataclass(frozen=True, slots=True)
class Solutions:
    """Judged solutions; `notes` say what of their data set was left out, and why."""

    solutions: tuple[Solution, ...]
    notes: tuple[str, ...] = ()


def read_solutions(source: str, split: str | None = None) -> Solutions:
    """Read judged solutions from a file, the Hugging Face Hub, or `demoprocess`.

    - ProcessBench (arXiv 2412.06559): `problem`, `steps` and `label`, the index of the first wrong
      step from 0, -1 for none. Steps after it have no label, unless a column `labels` has one for
      each. The subset is the split, the column `subset`, or the id up to its number.
    - PRMBench (arXiv 2501.03124): `question`, `modified_process` and `error_steps`, which count
      from 1 and may be none. The subset is `classification`. Right solutions are the
      `original_process` of the class of redundant steps, once each.

    A row that fits neither is left out. Raises ConfigError where nothing is left.
    """
    rows = rows_of(source, split, "demoprocess")
    parts = cast(Mapping[str, Iterable[Row]], rows) if isinstance(rows, Mapping) else {"": rows}
    found: dict[str, Solution] = {}
    damaged: list[str] = []
    num_beyond = 0
    for part, part_rows in parts.items():
        for index, row in enumerate(part_rows):
            place = f"{part} {index}".strip()
            try:
                for solution in _solutions(row, part, place):
                    if found.setdefault(solution.id, solution) is not solution:
                        raise ValueError(f"has the id {solution.id!r} of another")
            except ValueError as error:
                damaged.append(f"row {place} {error}")
            num_beyond += _marks_beyond(row)
    if not found:
        raise ConfigError(f"{source}: " + (damaged[0] if damaged else "there is no row in it"))
    return Solutions(tuple(found.values()), tuple(_notes(damaged, len(found), num_beyond)))


def _notes(damaged: list[str], num_found: int, num_beyond: int) -> Iterator[str]:
    if damaged:
        more = ", ..." if len(damaged) > _SHOWN else ""
        shown = "; ".join(damaged[:_SHOWN])
        yield f"{len(damaged)} rows are left out beside {num_found} solutions: {shown}{more}"
    if num_beyond:
        yield f"{num_beyond} rows call a step wrong that they do not have: that mark is left out"


def _solutions(row: Row, part: str, place: str) -> Iterator[Solution]:
    if row.get("label") is not None:
        yield _of_process_bench(row, part, place)
    elif row.get("error_steps") is not None:
        yield from _of_prm_bench(row, place)
    else:
        columns = ", ".join(row)
        raise ValueError(
            f"has neither label, as in ProcessBench, nor error_steps, as in PRMBench, but {columns}"
        )


def _of_process_bench(row: Row, part: str, place: str) -> Solution:
    steps, label = _steps(row, "steps"), row["label"]
    if not isinstance(label, int) or isinstance(label, bool) or not -1 <= label < len(steps):
        raise ValueError(f"has the label {label!r}, not an index of its {len(steps)} steps or -1")
    labels: tuple[bool | None, ...]
    if row.get("labels") is not None:
        labels = tuple(map(bool, row["labels"]))
        if (labels.index(False) if False in labels else _RIGHT, len(labels)) != (label, len(steps)):
            raise ValueError(f"has labels that do not fit its label {label}")
    elif label == _RIGHT:
        labels = (True,) * len(steps)
    else:
        labels = (True,) * label + (False,) + (None,) * (len(steps) - label - 1)
    name = _text(row, "id", required=False) or place
    head, dash, number = name.rpartition("-")
    subset = part or _text(row, "subset", required=False)
    if not subset and dash and number.isdecimal():
        subset = head
    return Solution(
        id=name if name.startswith(part) else f"{part} {name}",
        subset=subset,
        problem=Problem(question=_text(row, "problem")),
        steps=steps,
        labels=labels,
    )


def _of_prm_bench(row: Row, place: str) -> Iterator[Solution]:
    steps, wrong = _steps(row, "modified_process"), _error_steps(row)
    kind = _text(row, "classification", required=False)
    name = f"{kind}/{_text(row, 'idx', required=False) or place}"
    labels = tuple(number not in wrong for number in range(1, len(steps) + 1))
    if wrong and all(labels):
        raise ValueError(f"calls only steps wrong that it does not have: {sorted(wrong)}")
    problem = Problem(question=_text(row, "question"))
    yield Solution(id=name, subset=kind, problem=problem, steps=steps, labels=labels)
    if kind == _REDUNDANCY and row.get("original_process"):
        original = _steps(row, "original_process")
        yield Solution(
            id=f"{name}/original",
            subset=PRMBENCH_RIGHT,
            problem=problem,
            steps=original,
            labels=(True,) * len(original),
        )


def _error_steps(row: Row) -> set[int]:
    marks = row["error_steps"]
    if not isinstance(marks, list):
        raise ValueError(f"has error_steps that are no list: {marks!r}")
    numbers = cast(list[Any], marks)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in numbers):
        raise ValueError(f"has error_steps that do not count from 1: {numbers}")
    return set(numbers)


def _marks_beyond(row: Row) -> bool:
    """Whether a row calls a step wrong that it does not have."""
    marks, steps = row.get("error_steps"), row.get("modified_process")
    if not isinstance(marks, list) or not isinstance(steps, list):
        return False
    numbers = cast(list[Any], marks)
    return any(isinstance(n, int) and n > len(cast(list[Any], steps)) for n in numbers)


def _steps(row: Row, column: str) -> tuple[str, ...]:
    value = row.get(column)
    steps = cast(list[Any], value) if isinstance(value, list) else []
    if not steps or not all(isinstance(step, str) and step.strip() for step in steps):
        raise ValueError(f"has no list of steps in {column}")
    return tuple(cast(str, step).strip() for step in steps)


def _text(row: Row, column: str, *, required: bool = True) -> str:
    try:
        text = text_of(row.get(column))
    except CellError as error:
        raise ValueError(f"holds {error} in {column}") from error
    if required and not text.strip():
        raise ValueError(f"has no {column}")
    return text
