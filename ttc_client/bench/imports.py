"""Read the published toolkit's JSON lines, to grade them here: huggingface/search-and-learn's.

Knows rows and problems; knows nothing of grading or of run directories.
"""

import gzip
import re
import sys
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ttc_client.bench.columns import level_name, usual_cell
from ttc_client.bench.readers import decode_object, read_parquet
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Key
from ttc_client.search.params import MAX_N, SEEDS
from ttc_client.search.strategies import find_strategy
from ttc_client.types import Finish, Problem

_STRATEGIES = {
    r"best[-_]of[-_]n": "best-of-n",
    r"beam": "beam",
    r"dvts": "dvts",
}
_SEED = re.compile(r"seed-(\d+)")
_PREDICTION = re.compile(r"pred_\w+@(\d+)")

_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the toolkit sampled for a problem, and where that was read.

    `rewards` are None, and `scores` empty, where the row has none; `num_tokens` are 0 there.
    `declared_n` is the largest n that the row has predictions for, 0 without any; `wanted` are
    the N to read off the first completions, its own alone where there are none.
    """

    place: str
    problem: Problem
    strategy: str
    seed: int
    completions: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    rewards: tuple[float | None, ...]
    finishes: tuple[Finish, ...]
    num_tokens: tuple[int, ...]
    declared_n: int
    wanted: tuple[int, ...] = ()

    @property
    def budgets(self) -> tuple[int, ...]:
        """The N to grade it at; its own, where the row does not tell, is how many there are."""
        return self.wanted or (max(len(self.completions), self.declared_n),)

    def part(self, start: int, stop: int) -> "Sampled":
        """Return some of the completions with all that belongs to them."""
        names = ("completions", "scores", "rewards", "finishes", "num_tokens")
        return replace(self, **{name: getattr(self, name)[start:stop] for name in names})


class _Row(msgspec.Struct):
    problem: str
    answer: str | float
    completions: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_N)]
    scores: list[list[_Score]] | None = None
    agg_scores: list[_Score | None] | None = None
    finish: list[Finish] | None = None
    completion_tokens: list[int] | int | None = None
    strategy: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_N)] | None = None
    seed: int | None = None


def load_sampled(
    paths: Sequence[Path],
    strategy: str | None = None,
    seed: int | None = None,
    budgets: Sequence[int] = (),
) -> tuple[list[Sampled], list[str]]:
    """Read files of rows; return what is sound, and a line for each row that is not.

    `budgets` are the N to read off the first N completions of each row; all of them by default.
    A strategy or a seed that is None is told by the row, or by the file's path, as the toolkit
    names its files and datasets; the seed is else 0. The path "-" stands for standard input. Raises
    ConfigError for files that cannot be read, or do not tell the strategy.
    """
    found: list[Sampled] = []
    damaged: list[str] = []
    ids: dict[tuple[str, int], str] = {}
    for path in paths:
        rows: list[Sampled] = []
        for place, row in _rows(path):
            try:
                sampled = _sampled(place, row, path, strategy, seed)
                rows.append(replace(sampled, wanted=tuple(budgets)))
            except ConfigError:
                raise
            except (msgspec.DecodeError, ValueError) as error:
                damaged.append(f"{place}: {error}")
        found += _numbered(_parted(rows), ids)
    return _distinct(found, damaged), damaged


def _told(path: Path) -> str:
    for part in reversed(path.parts):
        for pattern, strategy in _STRATEGIES.items():
            if re.search(pattern, part.lower()):
                return strategy
    raise ConfigError(f"{path} does not say which strategy it is of: name it with --strategy")


def _told_seed(path: Path) -> int:
    return next((int(m[1]) for part in reversed(path.parts) if (m := _SEED.search(part))), 0)


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Return each row, or the line that it is to be read from, and its place."""
    try:
        if path.suffix.lower() == ".parquet":
            for number, row in enumerate(read_parquet(path), 1):
                yield f"{path}, row {number}", row
        else:
            with _opened(path) as file:
                for number, line in enumerate(file, 1):
                    if line := line.removeprefix(BOM_UTF8).strip():
                        yield f"{path}, line {number}", line
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read: {reason}") from error


def _opened(path: Path) -> Any:
    if str(path) == "-":
        return nullcontext(sys.stdin.buffer)
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _sampled(
    place: str, row: Any, path: Path, wanted: str | None, wanted_seed: int | None
) -> Sampled:
    """Check a row; raises ValueError that says what it lacks."""
    fields: dict[str, Any] = row
    if isinstance(row, bytes):
        fields = decode_object(row)
    checked = msgspec.convert(fields, _Row)
    count = len(checked.completions)
    for name in ("scores", "agg_scores", "finish"):
        values = getattr(checked, name)
        if values is not None and len(values) != count:
            raise ValueError(f"has {len(values)} {name} for {count} completions")
    for name in ("problem", "answer"):
        if not str(getattr(checked, name)).strip():
            raise ValueError(f"its {name} is empty")
    strategy = wanted or checked.strategy or _told(path)
    seeds = (wanted_seed, checked.seed, _told_seed(path))
    seed = next(seed for seed in seeds if seed is not None)
    if seed not in SEEDS:
        raise ValueError(f"its seed is {seed}, which is not a number of 64 bits")
    unknown: list[Finish] = ["eos"] * count
    unscored: list[list[float]] = [[]] * count
    predicted = (int(m[1]) for m in map(_PREDICTION.fullmatch, fields) if m)
    declared_n = checked.n or max(predicted, default=0)
    if declared_n > MAX_N:
        raise ValueError(f"its N is {declared_n}, which is above {MAX_N:,}")
    return Sampled(
        place=place,
        problem=_problem(fields),
        strategy=strategy,
        seed=seed,
        completions=tuple(checked.completions),
        scores=tuple(map(tuple, checked.scores or unscored)),
        rewards=_rewards(checked, strategy),
        finishes=tuple(checked.finish or unknown),
        num_tokens=_num_tokens(checked),
        declared_n=declared_n,
    )


def _problem(fields: Mapping[str, Any]) -> Problem:
    cell = partial(usual_cell, fields)
    level = level_name(cell("level"))
    return Problem(
        question=cell("problem"),
        id=cell("id"),
        gold=cell("answer"),
        level=level,
        subject=cell("subject"),
    )


def _num_tokens(row: _Row) -> tuple[int, ...]:
    """Return the counts where there are some: its DVTS writes -1 for all completions."""
    counts, num = row.completion_tokens, len(row.completions)
    return tuple(counts) if isinstance(counts, list) and len(counts) == num else (0,) * num


def _rewards(row: _Row, strategy: str) -> tuple[float | None, ...]:
    """Return the aggregated scores, which the toolkit votes by, or else the last ones."""
    count = len(row.completions)
    if find_strategy(strategy).needs == "nothing":
        return (None,) * count
    if row.agg_scores is not None and None not in row.agg_scores:
        return tuple(row.agg_scores)
    if row.scores is None:
        raise ValueError("has neither scores nor agg_scores; --strategy majority needs none")
    if not all(row.scores):
        raise ValueError(f"has no scores for completion {row.scores.index([])}")
    return tuple(scores[-1] for scores in row.scores)


def _parted(rows: Sequence[Sampled]) -> Iterator[Sampled]:
    """Give each of several equal problems its own completions.

    Where a batch held a problem twice, the toolkit gave either row the completions of both.
    """
    counts = Counter(row.problem.question for row in rows)
    alone = Counter(len(r.completions) for r in rows if counts[r.problem.question] == 1)
    usual = alone.most_common(1)[0][0] if alone else 0
    earlier: dict[str, list[Sampled]] = {}
    for row in rows:
        same = earlier.setdefault(row.problem.question, [])
        same.append(row)
        size, rest = divmod(len(row.completions), counts[row.problem.question])
        n = row.declared_n or usual
        is_shared = len(same[0].completions) == len(row.completions) and not rest
        if counts[row.problem.question] > 1 and is_shared and 0 < n <= size:
            yield row.part((len(same) - 1) * size, len(same) * size)
        else:
            yield row


def _numbered(rows: Iterator[Sampled], ids: dict[tuple[str, int], str]) -> Iterator[Sampled]:
    """Number problems that have no id, alike in all files; `ids` knows those of earlier files."""
    seen: Counter[str] = Counter()
    for row in rows:
        text = row.problem.question
        name = row.problem.id or ids.setdefault((text, seen[text]), str(len(ids)))
        seen[text] += 1
        yield replace(row, problem=replace(row.problem, id=name))


def _distinct(rows: Sequence[Sampled], damaged: list[str]) -> list[Sampled]:
    """Leave out, with a line each, rows that no key would tell from an earlier one."""
    first: dict[Key, str] = {}
    problems: dict[str, Problem] = {}
    kept: list[Sampled] = []
    for row in rows:
        name = row.problem.id
        keys = [Key(row.strategy, n, row.seed, name) for n in row.budgets]
        if problems.setdefault(name, row.problem).question != row.problem.question:
            damaged.append(f"{row.place}: the id {name!r} is that of another problem")
        elif earlier := next((first[key] for key in keys if key in first), ""):
            damaged.append(
                f"{row.place}: the problem {name!r} is in {earlier} already, with the same "
                "strategy, N and seed: import it alone, with its --seed"
            )
        else:
            first.update((key, row.place) for key in keys)
            kept.append(row)
    return kept
