"""Find which shard of a run this process is, as the engine that started it says.

A run's shards lie in one directory, each in a directory of its own, beside `shards.json`: what the
first task wrote of the array that the run was begun with. Later arrays are read against that, so
that one of three tasks, for what is missing, does not cut the problems anew.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from ttc_client.bench.ledger import our_errors
from ttc_client.bench.runs import CONFIG
from ttc_client.errors import ConfigError

SHARDS = "shards.json"
AUTO = "auto"
_MOST = 1_000_000
"""Of shards, and of any number of an engine's."""


@dataclass(frozen=True, slots=True)
class Shards:
    """How a run is cut: task `first + j * step` of an array does shard j + 1 of `count`."""

    count: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    first: Annotated[int, msgspec.Meta(ge=0, le=_MOST)] = 0
    step: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] = 1

    def shard_of(self, task: int) -> int | None:
        """Return the shard of a task, from 1, or None where it has none."""
        place, rest = divmod(task - self.first, self.step)
        return place + 1 if not rest and 0 <= place < self.count else None

    def array(self, shards: Iterable[int]) -> str:
        """Return the tasks of some shards, such as "3,7-9", as Slurm's --array takes them."""
        tasks = sorted(self.first + (shard - 1) * self.step for shard in shards)
        return ",".join(ranges(tasks))

    def directory(self, out: Path, shard: int) -> Path:
        """Return the directory of a shard."""
        return out / f"shard-{shard:0{len(str(self.count))}}-of-{self.count}"


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine tells a task: its number, and how many of which there are, if it tells that.

    `tasks` spans the array; `num_tasks` is fewer than that where the array has gaps.
    """

    task: int
    tasks: range | None
    num_tasks: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of a run, from 1, and the directory that it is written to."""

    index: int
    count: int
    path: Path

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def find_shard(text: str, environment: Mapping[str, str], out: Path) -> Shard:
    """Return the shard that `auto`, or `auto/K` for a run of K, stands for in a run's directory.

    Makes the directory, and keeps in it how the run is cut. Raises ConfigError where the
    environment does not say, where it disagrees with how the run was begun, and for a directory
    that cannot be written.
    """
    told, count = _told(environment), _count(text)
    if (out / CONFIG).exists():
        raise ConfigError(
            f"out is {out}: it holds a run already, where --shard {AUTO} makes a directory for "
            "each shard: name another directory"
        )
    try:
        shards = read_shards(out) or _kept(out, _cut(told, count))
    except OSError as error:
        raise ConfigError(f"out is {out}: {error.strerror}") from error
    if count is not None and count != shards.count:
        raise ConfigError(
            f"shard is {text!r}, but {out} was begun with {shards.count}: a run keeps its number "
            f"of shards; say {AUTO}, or name another --out"
        )
    index = shards.shard_of(told.task)
    if index is None or told.num_tasks > shards.count:
        whole = shards.array(range(1, shards.count + 1))
        raise ConfigError(
            f"task {told.task} is of an array that does not fit {out}, which was begun with the "
            f"tasks {whole}: submit some of these, or name another --out"
        )
    return Shard(index, shards.count, shards.directory(out, index))


def read_shards(out: Path) -> Shards | None:
    """Return how the run in a directory is cut, None where it is not; raises ConfigError."""
    try:
        content = (out / SHARDS).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(content, type=Shards)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{out / SHARDS} is damaged: {error}; restore it from a copy") from error


def shard_paths(out: Path) -> list[Path]:
    """Return the directories of the shards that a run has, or itself where it is not cut."""
    shards = read_shards(out)
    if shards is None:
        return [out]
    if found := sorted(file.parent for file in out.glob(f"shard-*-of-{shards.count}/{CONFIG}")):
        return found
    raise ConfigError(f"{out} holds no shard yet of {shards.count}")


def _kept(out: Path, shards: Shards) -> Shards:
    """Keep how a run is cut; return what the first task kept, if another was faster."""
    out.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{SHARDS}", dir=out)
    with our_errors(out), os.fdopen(number, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(shards)) + b"\n")
        file.flush()
        os.fsync(number)
    temporary, target = Path(name), out / SHARDS
    try:
        temporary.chmod(0o644)
        target.hardlink_to(temporary)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return read_shards(out) or shards


def _cut(told: Told, count: int | None) -> Shards:
    """Return how a new run is cut; raises ConfigError where that cannot be told."""
    tasks = told.tasks
    if tasks is None:
        if count is None:
            raise ConfigError(
                f"shard is {AUTO}, but Kubernetes does not tell a pod how many there are: write "
                f"--shard {AUTO}/K, with the Job's completions for K"
            )
        return Shards(count)
    is_whole = told.num_tasks == len(tasks) and count in (None, len(tasks))
    if is_whole and (len(tasks) > 1 or count == 1):
        return Shards(len(tasks), tasks.start, tasks.step)
    if count is not None and tasks.start <= 1 and told.num_tasks <= count:
        return Shards(count, tasks.start)
    seen = f"the array is of {told.num_tasks}, from {tasks.start} to {tasks[-1]}"
    if count is not None:
        raise ConfigError(
            f"shard is {AUTO}/{count}, but {seen}: begin a run with tasks that count from 0 or 1"
        )
    raise ConfigError(
        f"shard is {AUTO}, but {seen}, and a new run takes its number of shards from a whole array "
        f"of at least 2, such as 0-9: submit that, or write --shard {AUTO}/K for K shards"
    )


def _count(text: str) -> int | None:
    name, slash, count = text.partition("/")
    if name == AUTO and not slash:
        return None
    if name == AUTO and count.isdecimal() and len(count) < 9 and 1 <= int(count) <= _MOST:
        return int(count)
    raise ConfigError(
        f"shard is {text!r}: write it as i/k, such as 1/4, {AUTO} or {AUTO}/k, with k up to {_MOST}"
    )


def _told(environment: Mapping[str, str]) -> Told:
    """Return what the first engine says that is found in the environment; raises ConfigError."""
    for variable, read in _ENGINES.items():
        if variable in environment:
            return read(lambda name: _number(environment, name))
    raise ConfigError(
        f"shard is {AUTO}, but there is no {' or '.join(_ENGINES)} in the environment: write i/k "
        "where no engine counts"
    )


_Read = Callable[[str], int]


def _slurm(read: _Read) -> Told:
    first, last = read("SLURM_ARRAY_TASK_MIN"), read("SLURM_ARRAY_TASK_MAX")
    count, step = read("SLURM_ARRAY_TASK_COUNT"), read("SLURM_ARRAY_TASK_STEP")
    return Told(read("SLURM_ARRAY_TASK_ID"), range(first, last + 1, max(1, step)), count)


def _kubernetes(read: _Read) -> Told:
    return Told(read("JOB_COMPLETION_INDEX"), None, 0)


def _skypilot_jobs(read: _Read) -> Told:
    count = read("SKYPILOT_NUM_JOBS")
    return Told(read("SKYPILOT_JOB_RANK"), range(count), count)


def _skypilot_nodes(read: _Read) -> Told:
    count = read("SKYPILOT_NUM_NODES")
    return Told(read("SKYPILOT_NODE_RANK"), range(count), count)


_ENGINES: Final[Mapping[str, Callable[[_Read], Told]]] = {
    "SKYPILOT_JOB_RANK": _skypilot_jobs,
    "SKYPILOT_NODE_RANK": _skypilot_nodes,
    "SLURM_ARRAY_TASK_ID": _slurm,
    "JOB_COMPLETION_INDEX": _kubernetes,
}
"""How each engine tells a task its number, by the variable that holds it."""


def _number(environment: Mapping[str, str], name: str) -> int:
    with suppress(ValueError):
        number = int(environment.get(name, ""))
        if 0 <= number <= _MOST:
            return number
    raise ConfigError(
        f"shard is {AUTO}, but {name} is {environment.get(name)!r}, where a number up to "
        f"{_MOST} is expected: write i/k"
    )


def ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Write sorted numbers as ranges of those that follow each other."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            first, last = numbers[start], numbers[place - 1]
            yield str(first) if first == last else f"{first}-{last}"
            start = place
