"""Read problem sets: files, Hugging Face datasets, and DemoMath.

Knows rows and columns; knows nothing of searches.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ttc_client.bench.columns import LackingError, RowProblems
from ttc_client.bench.sources import DEMO_SETS, rows_of
from ttc_client.errors import ConfigError
from ttc_client.tasks.rows import reader_of
from ttc_client.tasks.task import Task
from ttc_client.types import Problem

_SAMPLE_SEED = 0
_PLACES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """The problems of a set, and for each row that is not one, where it is and what it lacks."""

    problems: tuple[Problem, ...]
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """Say which rows are left out and why, "" if none."""
        if not self.left_out:
            return ""
        total = len(self.problems) + len(self.left_out)
        shown = ", ".join(self.left_out[:_PLACES_SHOWN])
        more = ", ..." if len(self.left_out) > _PLACES_SHOWN else ""
        return f"{len(self.left_out)} of {total} rows are left out: {shown}{more}"


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
    """Return `count` of the problems, in order, with each level's share of them."""
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
    """Return the problems of a set, and nothing of what `read_problem_set` left out."""
    return read_problem_set(source, task, columns, split).problems


def read_problem_set(
    source: str, task: Task, columns: Mapping[str, str] | None = None, split: str = "test"
) -> ProblemSet:
    """Read a file (`readers.READERS`), a Hugging Face dataset id, or `demomath`.

    `columns` says where a field is found if not under its usual names (`columns.COLUMNS`, and the
    task's own). A set without answers has the task read them off its solutions, and so it is with a
    whole solution in the answer's place. Problems without an id take a number that is free. A row
    that is not a problem of the task is left out. `split` is that of a Hugging Face dataset. Raises
    ConfigError that names the row and the fix, also where every row would be left out.
    """
    rows = RowProblems(task, columns or {}, source)
    found: list[tuple[int, Problem]] = []
    lacking: list[LackingError] = []
    for index, row in enumerate(rows_of(source, split, *DEMO_SETS)):
        try:
            found.append((index, rows.problem(row, index)))
        except LackingError as error:
            lacking.append(error)
    if not found:
        raise ConfigError(str(lacking[0]) if lacking else f"{source}: there is no problem in it")
    given = Counter(problem.id for _, problem in found if problem.id)
    if repeated := [name for name, times in given.items() if times > 1]:
        raise ConfigError(f"{source}: the id {repeated[0]!r} is given to several problems")
    problems = reader_of(task).settle([*_numbered(found, given)])
    return ProblemSet(tuple(problems), tuple(error.short for error in lacking))


def _numbered(found: Sequence[tuple[int, Problem]], given: Iterable[str]) -> Iterator[Problem]:
    """Give each problem without an id its row's number, or else the next that is free."""
    taken = set(given)
    last = max((index for index, _ in found), default=0)
    free = (str(number) for number in count(last + 1))
    for index, problem in found:
        if problem.id:
            yield problem
        else:
            name = str(index)
            while name in taken:
                name = next(free)
            taken.add(name)
            yield replace(problem, id=name)
