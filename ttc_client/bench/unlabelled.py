"""Read solutions whose steps are to be labelled: those that a run sampled, or a file's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from ttc_client.bench.cells import CellError, question_of, text_of
from ttc_client.bench.columns import usual_cell
from ttc_client.bench.readers import Row
from ttc_client.bench.runs import CONFIG, Run, read_run
from ttc_client.bench.sampled import is_right, read_searches, steps_of
from ttc_client.bench.sources import rows_of
from ttc_client.errors import ConfigError
from ttc_client.search.steps import split_steps
from ttc_client.types import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlabelled:
    """A finished solution in steps; `is_right` is None where its answer is not graded yet."""

    id: str
    problem: Problem
    steps: tuple[str, ...]
    is_right: bool | None = None


@dataclass(frozen=True, slots=True)
class UnlabelledSet:
    """Solutions, the settings of the run that sampled them, if any, and what was left out."""

    solutions: tuple[Unlabelled, ...]
    settings: Mapping[str, Any]
    note: str = ""


def read_unlabelled(source: str, split: str | None) -> UnlabelledSet:
    """Read the solutions of a run directory, a file or a Hugging Face dataset.

    Of a run, each text once, without those that were cut. A row of a file has a `problem`, an
    `answer`, and `steps` or else a `solution`. Raises ConfigError where there is none.
    """
    path = Path(source)
    if (path / CONFIG).exists():
        run = read_run(path)
        return UnlabelledSet(tuple(_of_run(run)), run.settings)
    found: dict[str, Unlabelled] = {}
    lacking: list[str] = []
    for index, row in enumerate(rows_of(source, split or "test", "demomath")):
        try:
            solution = _of_row(row)
            found[solution.id] = solution
        except ValueError as error:
            lacking.append(f"row {index} {error}")
    if not found:
        raise ConfigError(f"{source}: " + (lacking[0] if lacking else "there is no row in it"))
    more = f"{len(lacking)} rows are left out, the first since {lacking[0]}" if lacking else ""
    return UnlabelledSet(tuple(found.values()), {}, more)


def _of_run(run: Run) -> Iterator[Unlabelled]:
    for name, searches in read_searches(run).items():
        seen: set[str] = set()
        for record, candidates in searches:
            for candidate in candidates:
                steps = steps_of(run, candidate.text)
                solution = _id(name, steps)
                if candidate.finish != "length" and steps and solution not in seen:
                    seen.add(solution)
                    yield Unlabelled(
                        id=solution,
                        problem=run.problems[name],
                        steps=steps,
                        is_right=is_right(record, candidate),
                    )


def _of_row(row: Row) -> Unlabelled:
    try:
        question = question_of(row.get("problem") or row.get("question"))
        gold = text_of(row.get("answer"))
    except CellError as error:
        raise ValueError(f"holds {error}") from error
    given = row.get("steps")
    if isinstance(given, list) and all(isinstance(s, str) for s in cast(list[Any], given)):
        steps = tuple(s.strip() for s in cast(list[str], given) if s.strip())
    else:
        steps = split_steps(usual_cell(row, "solution"))
    for what, value in (("problem", question), ("answer", gold), ("steps or solution", steps)):
        if not value:
            raise ValueError(f"has no {what}")
    name = usual_cell(row, "id")
    return Unlabelled(
        id=_id(name or question, steps),
        problem=Problem(question=question, id=name or _digest(question), gold=gold),
        steps=steps,
    )


def _id(problem: str, steps: Sequence[str]) -> str:
    return f"{problem} {_digest(*steps)}"


def _digest(*texts: str) -> str:
    return blake2b(repr(texts).encode(), digest_size=8).hexdigest()
