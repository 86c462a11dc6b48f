"""Write the directory of a bench run, so that whatever was finished is on disk.

Lines are written whole, in a thread of their own, a search's record last: `kill -9` loses what
was in flight, and no more. The files are described in `runs`.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from ttc_client.bench.dataset import Problem
from ttc_client.bench.runs import (
    CONFIG,
    COSTS,
    PROBLEMS,
    RESULTS,
    TRACES,
    Settings,
    encode_settings,
    read_lines,
    read_settings,
)
from ttc_client.errors import ConfigError, TTCError
from ttc_client.runtime.records import Cost, Key, Record, Trace, is_right
from ttc_client.runtime.store import append_whole
from ttc_client.types import Allocation, Strategy, Vote

_SYNC_EVERY_S = 1.0
_BLOCK = 1 << 16
_SHOWN = 60


class Journal:
    """Write a run's directory, as a context manager.

    With `resume`, goes on with the run that the directory holds, if any; `finished` has the
    searches that need not be run again, and whether they are right. Raises ConfigError for a
    directory that holds another run, is being written to, or cannot be written, and TTCError when
    a write fails later.
    """

    def __init__(
        self, path: Path, settings: Settings, problems: Sequence[Problem], *, resume: bool
    ) -> None:
        self.path = path
        self.finished: dict[Key, bool] = {}
        self._problems = b"".join(msgspec.json.encode(problem) + b"\n" for problem in problems)
        digest = hashlib.sha256(self._problems).hexdigest()
        self._settings: Settings = _plain({**settings, "problems": digest})
        self._resume = resume
        self._resources = ExitStack()
        self._synced_s = time.monotonic()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                self._open(stack)
            except OSError as error:
                raise ConfigError(f"out is {self.path}: {error.strerror}") from error
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._our_errors():
            self._resources.close()

    async def write(
        self, record: Record, cost: Cost | None = None, trace: Trace | None = None
    ) -> None:
        """Append a search; returns once the operating system has it."""
        lines = [
            (name, msgspec.json.encode(line) + b"\n")
            for name, line in ((COSTS, cost), (TRACES, trace), (RESULTS, record))
            if line is not None
        ]
        loop = asyncio.get_running_loop()
        with self._our_errors():
            await loop.run_in_executor(self._writer, self._append, lines)

    def sort(self, plan: Iterable[Key]) -> None:
        """Put the records into the order of the plan, in one piece; nothing is written after."""
        results = self.path / RESULTS
        places = {head.key: (start, size) for head, start, size in _heads(results)}
        with self._our_errors(), results.open("rb") as unsorted:

            def line(key: Key) -> bytes:
                start, size = places[key]
                unsorted.seek(start)
                return unsorted.read(size)

            _replace(results, (line(key) for key in plan))

    @contextmanager
    def _our_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise TTCError(
                f"cannot write to {self.path}: {error.strerror}; what was written so far is "
                "intact: make room and go on with --resume"
            ) from error

    def _open(self, stack: ExitStack) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context((self.path / "lock").open("wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"out is {self.path}: another ttc bench is writing to it") from None
        if (self.path / CONFIG).exists():
            self._check_settings()
            self._recover()
        else:
            _replace(self.path / PROBLEMS, [self._problems])
            _replace(self.path / CONFIG, [encode_settings(self._settings)])
        self._files: dict[str, BinaryIO] = {
            name: stack.enter_context((self.path / name).open("ab", buffering=0))
            for name in (COSTS, TRACES, RESULTS)
        }
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        stack.callback(self._sync)
        stack.callback(self._writer.shutdown)

    def _check_settings(self) -> None:
        if not self._resume:
            raise ConfigError(
                f"out is {self.path}: it holds a run already; add --resume to go on with it, or "
                "name another directory"
            )
        before, now = read_settings(self.path), self._settings
        changed = [
            f"{name} was {_short(before.get(name))} and is {_short(now.get(name))}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
        if changed:
            raise ConfigError(f"{self.path} holds a run with other settings: {'; '.join(changed)}")

    def _recover(self) -> None:
        """Drop what a kill left half-written, and find what is finished."""
        for name in (COSTS, TRACES, RESULTS):
            if (self.path / name).exists():
                _drop_torn_line(self.path / name)
        if (self.path / RESULTS).exists():
            ended = {head.key: head for head, *_ in _heads(self.path / RESULTS)}
            self.finished = {key: head.right for key, head in ended.items() if not head.error}

    def _append(self, lines: list[tuple[str, bytes]]) -> None:
        for name, line in lines:
            append_whole(self._files[name], line)
        if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
            self._sync()

    def _sync(self) -> None:
        for file in self._files.values():
            os.fsync(file.fileno())
        self._synced_s = time.monotonic()


@dataclass(frozen=True, slots=True)
class _Head:
    """What names a record, and how it ended."""

    strategy: Strategy
    n: int
    seed: int
    id: str
    error: str
    correct: dict[Vote, bool]
    allocation: Allocation | None = None

    @property
    def right(self) -> bool:
        return is_right(self.strategy, self.correct, self.allocation)

    @property
    def key(self) -> Key:
        return Key(self.strategy, self.n, self.seed, self.id)


def _heads(results: Path) -> Iterator[tuple[_Head, int, int]]:
    """Return of each record the head, and where its line starts and how long it is."""
    start = 0
    with results.open("rb") as file:
        for head, line in zip(read_lines(results, _Head), file, strict=True):
            yield head, start, len(line)
            start += len(line)


def _drop_torn_line(path: Path) -> None:
    """Cut a file after its last whole line."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        newline = -1
        while end > 0 and newline < 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            end = start + newline + 1
        file.truncate(end)


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file in one piece or not at all."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _plain(settings: Settings) -> Settings:
    """Return settings as they are read back from a file."""
    return msgspec.json.decode(msgspec.json.encode(settings))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
