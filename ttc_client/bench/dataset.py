"""Read problem sets: files, Hugging Face datasets, and DemoMath.

Knows rows and columns; knows nothing of searches.
"""

import csv
import importlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ttc_client.errors import ConfigError
from ttc_client.tasks.task import Task
from ttc_client.types import Problem

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("unique_id", "id"),
    "problem": ("problem", "question"),
    "answer": ("answer",),
    "solution": ("solution",),
    "level": ("level",),
    "subject": ("subject", "type"),
}
"""What a problem is made of, and the columns it is looked for in, the first that exists."""

Row = Mapping[str, Any]

_GSM8K_MARK = "####"
_SAMPLE_SEED = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which problems of a set: those of the levels, a sample of `limit` of them, one shard of k.

    The sample is drawn by a fixed seed, from each level its share, so that it is as hard as the
    whole. Shard i of k, from 1, takes every k-th problem, so that the shards together are all.
    """

    levels: tuple[str, ...] = ()
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        index, count = self.shard
        if not 1 <= index <= count:
            raise ConfigError(f"shard is {index}/{count}: write it as i/k with i from 1 to k")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}: it must be 1 or more")

    def of(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """Return the selected problems, in order; raises ConfigError where there are none."""
        levels = {problem.level for problem in problems}
        if unknown := set(self.levels) - levels:
            known = ", ".join(sorted(levels - {""})) or "none"
            raise ConfigError(
                f"no problem is of level {min(unknown)}: the set's levels are {known}"
            )
        chosen = [p for p in problems if not self.levels or p.level in self.levels]
        if self.limit is not None and self.limit < len(chosen):
            chosen = _stratified(chosen, self.limit)
        index, count = self.shard
        selected = tuple(chosen[index - 1 :: count])
        if not selected:
            raise ConfigError("no problem is selected: take a larger --limit or fewer shards")
        return selected

    def said(self, taken: int, total: int) -> str:
        """Say which problems were taken, "" if all of them."""
        if taken == total:
            return ""
        parts = [
            f"of level {', '.join(self.levels)}" if self.levels else "",
            f"a sample with each level's share (seed {_SAMPLE_SEED})" if self.limit else "",
            f"shard {self.shard[0]} of {self.shard[1]}" if self.shard[1] > 1 else "",
        ]
        return f"{taken} of {total} problems: {', '.join(part for part in parts if part)}"


def _stratified(problems: Sequence[Problem], count: int) -> list[Problem]:
    """Return so many of the problems, in order, with each level's share of them."""
    by_level: dict[str, list[int]] = {}
    for place, problem in enumerate(problems):
        by_level.setdefault(problem.level, []).append(place)
    exact = {level: count * len(places) / len(problems) for level, places in by_level.items()}
    shares = {level: int(share) for level, share in exact.items()}
    by_rest = sorted(exact, key=lambda level: (shares[level] - exact[level], level))
    for level in by_rest[: count - sum(shares.values())]:
        shares[level] += 1
    rng = random.Random(_SAMPLE_SEED)
    drawn = [rng.sample(places, shares[level]) for level, places in by_level.items()]
    taken = [place for places in drawn for place in places]
    return [problems[place] for place in sorted(taken)]


def load_problems(
    source: str, task: Task, columns: Mapping[str, str] | None = None, split: str = "test"
) -> tuple[Problem, ...]:
    """Read a `.jsonl`, `.csv` or `.parquet` file, a Hugging Face dataset id, or `demomath`.

    `columns` says where a field is found if not under its usual names (`COLUMNS`). A set without
    answers has the task read them off its solutions; one without ids is numbered from 0. `split` is
    that of a Hugging Face dataset. Raises ConfigError that names the row and the fix.
    """
    for field in columns or {}:
        if field not in COLUMNS:
            raise ConfigError(f"column is {field!r}: it must be one of {', '.join(COLUMNS)}")
    rows = _rows(source, split)
    problems = tuple(
        _problem(row, index, columns or {}, source, task) for index, row in enumerate(rows)
    )
    repeated = [name for name, count in Counter(p.id for p in problems).items() if count > 1]
    if repeated:
        raise ConfigError(f"{source}: the id {repeated[0]!r} is given to several problems")
    if not problems:
        raise ConfigError(f"{source}: there is no problem in it")
    return problems


def _rows(source: str, split: str) -> Iterable[Row]:
    if source == "demomath":
        from ttc_servers.demomath import fixed_test_set

        return [problem.row() for problem in fixed_test_set()]
    path = Path(source)
    if path.suffix in _READERS:
        try:
            return _READERS[path.suffix](path)
        except FileNotFoundError:
            raise ConfigError(f"dataset is {source}: there is no such file") from None
        except (OSError, ValueError, csv.Error) as error:
            raise ConfigError(f"{source} cannot be read: {error}") from error
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", source):
        return _hugging_face(source, split)
    raise ConfigError(
        f"dataset is {source}: it must be a file ending in {', '.join(_READERS)}, "
        "a Hugging Face dataset such as HuggingFaceH4/MATH-500, or demomath"
    )


def _json_lines(path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                rows.append(msgspec.json.decode(line, type=dict[str, Any]))
            except msgspec.DecodeError as error:
                raise ValueError(f"line {number} is no JSON object: {error}") from error
    return rows


def _csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_parquet(path: Path) -> list[Row]:
    """Read a Parquet file; raises ConfigError where the extra for it is not installed."""
    return _extra("pyarrow.parquet", "Parquet files").read_table(path).to_pylist()


_READERS: dict[str, Callable[[Path], Iterable[Row]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": read_parquet,
}


def _hugging_face(source: str, split: str) -> Iterable[Row]:
    """Load a split of `owner/name` or `owner/name:config`."""
    library = _extra("datasets", "Hugging Face datasets")
    name, _, config = source.partition(":")
    try:
        return library.load_dataset(name, config or None, split=split)
    except Exception as error:
        raise ConfigError(f"dataset {source}, split {split}, does not load: {error}") from error


def _extra(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(f"{what} need an extra: pip install 'ttc-client[datasets]'") from None


def _problem(row: Row, index: int, columns: Mapping[str, str], source: str, task: Task) -> Problem:
    def field(name: str) -> str:
        if name not in columns:
            return usual_cell(row, name)
        if (value := row.get(columns[name])) is None:
            raise ConfigError(f"{source}: row {index} has no column {columns[name]!r}")
        return _text(value)

    question, gold = field("problem"), field("answer")
    if not gold:
        gold = task.extract(Problem(question=question), field("solution"))
    elif _GSM8K_MARK in gold:  # its answers are solutions
        gold = gold.rpartition(_GSM8K_MARK)[2].strip()
    for name, value in (("problem", question), ("answer", gold)):
        if not value.strip():
            have = ", ".join(row)
            raise ConfigError(
                f"{source}: row {index} has no {name}; its columns are {have}: "
                f"name the right one with --column {name}=COLUMN"
            )
    return Problem(
        question=question,
        id=field("id") or str(index),
        gold=gold,
        level=level_name(field("level")),
        subject=field("subject"),
    )


def usual_cell(row: Row, name: str) -> str:
    """Return what a row has in the first of a field's usual columns, "" where it has none."""
    return next((_text(row[key]) for key in COLUMNS[name] if row.get(key) is not None), "")


def level_name(text: str) -> str:
    """Return a level as data sets that agree name it: "5", also where one says "Level 5"."""
    return text.removeprefix("Level ").strip()


def _text(value: Any) -> str:
    """Return a cell as text, a whole number without a decimal point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
