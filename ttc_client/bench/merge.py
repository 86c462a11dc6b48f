"""Join the shards of a run: say what is missing, and write them as the one run that they make."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from ttc_client.bench.journal import changes_but_grid, sort_results
from ttc_client.bench.ledger import DIGEST, changes, drop_torn_line, holds_a_run
from ttc_client.bench.runs import (
    CONFIG,
    COSTS,
    PROBLEMS,
    RESULTS,
    TRACES,
    Run,
    encode_settings,
    problems_digest,
    read_run,
)
from ttc_client.bench.shards import ranges, read_shards, shard_paths
from ttc_client.errors import ConfigError
from ttc_client.runtime.lines import write_whole
from ttc_client.runtime.records import Key
from ttc_client.types import Problem

_OWN = frozenset({"shard", DIGEST})
"""What the shards of one run differ in."""
_BLOCK = 1 << 20
_WRITTEN_AGAIN = "ttc bench --resume of this shard writes them again"


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs, and each shard of those that are cut into shards; raises ConfigError."""
    return [read_run(shard) for path in paths for shard in shard_paths(path)]


def place_of(run: Run) -> tuple[int, int]:
    """Return which shard a run is, of how many; a whole run is 1 of 1."""
    index, _, count = str(run.settings.get("shard", "1/1")).partition("/")
    return (int(index), int(count)) if index.isdecimal() and count.isdecimal() else (1, 1)


def said_of_shards(runs: Sequence[Run]) -> Iterator[str]:
    """Say which shards are double, missing or unfinished, and how to go on with them.

    Raises ConfigError for the shards of one run that were not searched alike, where runs are not
    rather compared shard by shard.
    """
    families: list[list[Run]] = []
    for run in runs:
        for family in families:
            if not any(changes_but_grid(family[0].settings, run.settings, _OWN)):
                family.append(run)
                break
        else:
            families.append([run])
    places = [place_of(run) for run in runs]
    counts = {count for _, count in places}
    if len(families) > 1 and len(counts) == 1 < min(counts) and len({*places}) == len(places):
        _refuse_differences(families[0][0], families[1][0])
    for family in families:
        yield from _said_of(family)


def merge(paths: Sequence[Path], out: Path) -> Run:
    """Write all shards of a run as the run that one process would have written; return it.

    Searches that are missing or failed remain so, to be resumed. Raises ConfigError unless there
    is each shard once, all with the same settings, and `out` is new.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise holds_a_run(out) if (out / CONFIG).exists() else _taken(out)
    runs = {place_of(run): run for run in _all_once(read_runs(paths))}
    shards = [runs[place] for place in sorted(runs)]
    problems = _interleaved(shards)
    settings = {**shards[0].settings, "shard": "1/1", DIGEST: problems_digest(problems)}
    ids = [msgspec.json.decode(line, type=Problem).id for line in problems.splitlines()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}", dir=out.parent))
        write_whole(part / PROBLEMS, [problems])
        for name in (COSTS, TRACES, RESULTS):
            _joined(shards, part, name)
        sort_results(part / RESULTS, [Key(*cell, id=i) for cell in cells_of(shards) for i in ids])
        write_whole(part / CONFIG, [encode_settings(settings)])
        part.chmod(0o755)
        part.rename(out)
    except OSError as error:
        raise ConfigError(f"out is {out}: {error.strerror}") from error
    return read_run(out)


def unfinished(run: Run, cells: Sequence[tuple[str, int, int]]) -> int:
    """Return how many searches of a run are missing or failed, of those cells for each problem."""
    done = {key for key, record in run.records.items() if not record.error}
    return sum(Key(*cell, id=name) not in done for cell in cells for name in run.problems)


def cells_of(runs: Sequence[Run]) -> list[tuple[str, int, int]]:
    """Return the strategies, N and seeds that runs searched with, in the order of their lines."""
    return list(
        dict.fromkeys((key.strategy, key.n, key.seed) for run in runs for key in run.records)
    )


def _said_of(family: Sequence[Run]) -> Iterator[str]:
    by_place: dict[tuple[int, int], list[Run]] = {}
    for run in family:
        by_place.setdefault(place_of(run), []).append(run)
    counts = {count for _, count in by_place}
    if counts == {1}:
        return
    if len(counts) > 1:
        some = ", others of ".join(map(str, sorted(counts)))
        yield f"some runs are shards of {some}: a problem that several hold counts once"
        return
    (count,) = counts
    for (index, _), double in by_place.items():
        if len(double) > 1:
            named = " and ".join(str(run.path) for run in double)
            yield f"{named} are the same shard, {index}/{count}, which counts once"
    cells = cells_of(family)
    missing = [index for index in range(1, count + 1) if (index, count) not in by_place]
    begun = sorted(index for (index, _), (run, *_) in by_place.items() if unfinished(run, cells))
    parts = [("missing", missing), ("unfinished", begun)]
    if said := [f"{_numbers(indices)} {what}" for what, indices in parts if indices]:
        shards = read_shards(family[0].path.parent)
        more = f"; to go on: sbatch --array={shards.array([*missing, *begun])}" if shards else ""
        yield f"of {count} shards, {', '.join(said)}{more}"


def _all_once(runs: Sequence[Run]) -> Sequence[Run]:
    """Return all shards of one run; raises ConfigError for others."""
    first = runs[0]
    count = place_of(first)[1]
    seen: dict[int, Run] = {}
    for run in runs:
        _refuse_differences(first, run)
        index, of = place_of(run)
        if of != count:
            raise ConfigError(f"{first.path} is one of {count} shards, and {run.path} one of {of}")
        if index in seen:
            raise ConfigError(
                f"{seen[index].path} and {run.path} are the same shard, {index}/{count}"
            )
        seen[index] = run
    if missing := [index for index in range(1, count + 1) if index not in seen]:
        raise ConfigError(
            f"of {count} shards, {_numbers(missing)} missing: name all of them; ttc report takes "
            "what there is"
        )
    return runs


def _refuse_differences(first: Run, run: Run) -> None:
    both = first.settings, run.settings
    if changed := [*changes_but_grid(*both, _OWN)] or [*changes(*both, _OWN)]:
        raise ConfigError(
            f"{first.path} and {run.path} are not shards of one run: {'; '.join(changed)}"
        )


def _interleaved(shards: Sequence[Run]) -> bytes:
    """Return the lines of all problems, of which shard i of k has every k-th.

    Raises ConfigError for a shard whose problems are not those that it was searched with.
    """
    files = [_problem_lines(run).splitlines(keepends=True) for run in shards]
    return b"".join(line for row in zip_longest(*files, fillvalue=b"") for line in row)


def _problem_lines(run: Run) -> bytes:
    file = run.path / PROBLEMS
    try:
        lines = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; {_WRITTEN_AGAIN}") from error
    if problems_digest(lines) != run.settings.get(DIGEST):
        raise ConfigError(
            f"{file} is damaged: its problems are not those that were searched; {_WRITTEN_AGAIN}"
        )
    return lines


def _joined(shards: Sequence[Run], part: Path, name: str) -> None:
    """Put the whole lines of a file of all shards into one, where they have it."""
    found = [run.path / name for run in shards if (run.path / name).exists()]
    for path in found:
        with path.open("rb") as source, (part / name).open("ab") as target:
            shutil.copyfileobj(source, target, _BLOCK)
        drop_torn_line(part / name)


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(ranges(sorted(numbers)))


def _taken(out: Path) -> ConfigError:
    return ConfigError(f"out is {out}, which is not empty: name another directory")
