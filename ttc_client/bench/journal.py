"""Write the directory of a bench run, so that whatever was finished is on disk.

A search's record is written last: `kill -9` loses what was in flight, and no more. The files are
described in `runs`.
"""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

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
from ttc_client.runtime.lines import LineWriter, write_whole
from ttc_client.runtime.records import Cost, Key, Record, Trace, key_of
from ttc_client.types import Problem

_BLOCK = 1 << 16
_SHOWN = 60
_GRID = ("strategy", "n", "seed")
"""What a run may grow by; of all other settings, those that decide a search must stay."""


class Journal:
    """Write a run's directory, as a context manager.

    With `resume`, goes on with the run that the directory holds, if any: its grid may grow.
    `finished` has the searches that need not be run again, and how right they are. Raises
    ConfigError for a directory that holds another run, is being written to, or cannot be written,
    and TTCError when a write fails later.
    """

    def __init__(
        self, path: Path, settings: Settings, problems: Sequence[Problem], *, resume: bool
    ) -> None:
        self.path = path
        self.finished: dict[Key, float] = {}
        self._problems = b"".join(msgspec.json.encode(problem) + b"\n" for problem in problems)
        digest = hashlib.sha256(self._problems).hexdigest()
        self._settings: Settings = _plain({**settings, "problems": digest})
        self._resume = resume
        self._resources = ExitStack()

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
        """Append a search; returns once the operating system has it. Raises TTCError."""
        lines = ((COSTS, cost), (TRACES, trace), (RESULTS, record))
        written = self._lines.append([(name, line) for name, line in lines if line is not None])
        with self._our_errors():
            await asyncio.wrap_future(written)

    def sort(self, plan: Iterable[Key]) -> None:
        """Put the records into the order of the plan, in one piece; nothing is written after.

        Those that are not in the plan, of a larger grid, come last.
        """
        results = self.path / RESULTS
        lines = read_lines(results, Record, warn=False)  # `_recover` has warned of damaged ones
        places = {key_of(line.value): (line.start, line.size) for line in lines}
        order = [key for key in dict.fromkeys((*plan, *places)) if key in places]
        with self._our_errors(), results.open("rb") as unsorted:

            def line(key: Key) -> bytes:
                start, size = places[key]
                unsorted.seek(start)
                return unsorted.read(size)

            write_whole(results, map(line, order))

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
            self._settings = self._merged_settings()
            self._recover()
        elif any((self.path / name).exists() for name in (COSTS, TRACES, RESULTS)):
            raise ConfigError(
                f"out is {self.path}: it holds results without their settings, for want of "
                f"{CONFIG}: restore that file from a copy, or name another directory"
            )
        write_whole(self.path / PROBLEMS, [self._problems])
        write_whole(self.path / CONFIG, [encode_settings(self._settings)])
        self._lines = LineWriter(self.path, (COSTS, TRACES, RESULTS))
        stack.callback(self._lines.close)

    def _merged_settings(self) -> Settings:
        """Return the settings of the run with its grid grown; raises ConfigError for others."""
        if not self._resume:
            raise ConfigError(
                f"out is {self.path}: it holds a run already; add --resume to go on with it, or "
                "name another directory"
            )
        before, now = read_settings(self.path), self._settings
        own: tuple[dict[str, Any], dict[str, Any]] = before.get("own", {}), now.get("own", {})
        changed = [*_changes(before, now, {*_GRID, "own"})]
        for strategy in own[0].keys() & own[1].keys():
            changed += _changes(own[0][strategy], own[1][strategy], set())
        if changed:
            raise ConfigError(f"{self.path} holds a run with other settings: {'; '.join(changed)}")
        grid = {name: _union(before.get(name, []), now.get(name, [])) for name in _GRID}
        return {**before, **grid, "own": {**own[0], **own[1]}}

    def _recover(self) -> None:
        """Drop what a kill left half-written, and find what is finished."""
        for name in (COSTS, TRACES, RESULTS):
            if (self.path / name).exists():
                _drop_torn_line(self.path / name)
        if (self.path / RESULTS).exists():
            for record, *_ in read_lines(self.path / RESULTS, Record):
                self.finished.pop(key_of(record), None)
                if not record.error:
                    self.finished[key_of(record)] = record.grade


def _changes(before: Settings, now: Settings, but: set[str]) -> Iterator[str]:
    """Say which settings were changed."""
    for name in {**before, **now}:
        if name not in but and before.get(name) != now.get(name):
            yield f"{name} was {_short(before.get(name))} and is {_short(now.get(name))}"


def _union(before: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    """Return all values once, numbers in order."""
    values = list(dict.fromkeys((*before, *now)))
    return values if any(isinstance(value, str) for value in values) else sorted(values)


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


def _plain(settings: Settings) -> Settings:
    """Return settings as they are read back from a file."""
    return msgspec.json.decode(msgspec.json.encode(settings))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
