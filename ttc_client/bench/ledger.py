"""Keep finished work in a directory as JSON lines, and go on with it after any end.

A directory holds `config.json`, the settings that decide the outcome, and files of lines. A line
is written whole, or dropped when the directory is opened again: `kill -9` loses what was in flight
and no more. `Journal` is the one of the searches of a run.
"""

import asyncio
import errno
import fcntl
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from ttc_client.bench.runs import CONFIG, Settings, encode_settings, read_lines, read_settings
from ttc_client.errors import ConfigError, TTCError
from ttc_client.runtime.lines import LineWriter, write_whole

_BLOCK = 1 << 16
_HELD = (errno.EWOULDBLOCK, errno.EACCES)  # NFS gives the latter
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""As of Lustre mounted without -o flock."""
_SHOWN = 60
DIGEST = "problems"
"""The setting that is a digest of the problems."""


class LinesDirectory(ABC):
    """A directory of settings and files of lines that no one else writes to, as a context manager.

    `names` are the files of lines, and `inputs` the bytes of files that are written whole. With
    `resume`, goes on with what the directory holds, if anything. Raises ConfigError for a directory
    that holds something else, is being written to, or cannot be written, and TTCError when a write
    fails later.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        names: Iterable[str],
        *,
        resume: bool,
        inputs: Mapping[str, bytes] | None = None,
    ) -> None:
        self.path = path
        self._settings = plain(settings)
        self._names, self._inputs = tuple(names), inputs or {}
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
        with our_errors(self.path):
            self._resources.close()

    async def _append(self, lines: Sequence[tuple[str, Any]]) -> None:
        """Append a line to each of some files; return once the operating system has them."""
        with our_errors(self.path):
            await asyncio.wrap_future(self._lines.append(lines))

    def _open(self, stack: ExitStack) -> None:
        lock(self.path, stack)
        if (self.path / CONFIG).exists():
            if not self._resume:
                raise holds_a_run(self.path)
            self._settings = self._merged(read_settings(self.path))
            for name in self._names:
                if (self.path / name).exists():
                    drop_torn_line(self.path / name)
                    self._recover(name)
        else:
            refuse_orphans(self.path, self._names)
        for name, content in self._inputs.items():
            write_whole(self.path / name, [content])
        write_whole(self.path / CONFIG, [encode_settings(self._settings)])
        self._lines = LineWriter(self.path, self._names)
        stack.callback(self._lines.close)

    @abstractmethod
    def _merged(self, before: Settings) -> Settings:
        """Return the settings to go on with; raise ConfigError where others decided the outcome."""

    @abstractmethod
    def _recover(self, name: str) -> None:
        """Read what a file holds already."""


class Ledger(LinesDirectory):
    """A directory of results; `kinds` says of each file what a line is, and `kept` has them."""

    def __init__(
        self, path: Path, settings: Settings, kinds: Mapping[str, type[Any]], *, resume: bool
    ) -> None:
        super().__init__(path, settings, kinds, resume=resume)
        self.kept: dict[str, list[Any]] = {name: [] for name in kinds}
        self._kinds = kinds

    async def write(self, name: str, line: Any) -> None:
        """Append a line to a file; returns once the operating system has it. Raises TTCError."""
        await self._append([(name, line)])

    def _merged(self, before: Settings) -> Settings:
        refuse_changes(self.path, [*changes(before, self._settings)])
        return self._settings

    def _recover(self, name: str) -> None:
        self.kept[name] = [line.value for line in read_lines(self.path / name, self._kinds[name])]


def lock(path: Path, stack: ExitStack) -> None:
    """Make a directory, and be the only one to write to it; raises ConfigError where one is.

    The system lets go of the lock of a process that was killed, also one on another machine by NFS.
    """
    path.mkdir(parents=True, exist_ok=True)
    file = stack.enter_context((path / "lock").open("wb"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise ConfigError(f"out is {path}: another ttc is writing to it") from None
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"{path} lies on a file system without locks ({error.strerror}): make sure that no "
            "other ttc writes to it",
            stacklevel=2,
        )


def holds_a_run(path: Path) -> ConfigError:
    """Return the error for a directory that is taken."""
    return ConfigError(
        f"out is {path}: it holds a run already; add --resume to go on with it, or name another "
        "directory"
    )


def refuse_orphans(path: Path, names: Iterable[str]) -> None:
    """Raise ConfigError for files of lines without the settings that they were made with."""
    if any((path / name).exists() for name in names):
        raise ConfigError(
            f"out is {path}: it holds results without their settings, for want of {CONFIG}: "
            "restore that file from a copy, or name another directory"
        )


@contextmanager
def our_errors(path: Path) -> Generator[None]:
    """Say where writing failed, and what to do."""
    try:
        yield
    except OSError as error:
        raise TTCError(
            f"cannot write to {path}: {error.strerror}; what was written so far is intact: make "
            "room and go on with --resume"
        ) from error


def changes(before: Settings, now: Settings, but: frozenset[str] = frozenset()) -> Iterator[str]:
    """Say which settings were changed."""
    for name in {**before, **now}:
        if name not in but and before.get(name) != now.get(name):
            was, is_now = _short(before.get(name)), _short(now.get(name))
            yield (
                "its problems were others"
                if name == DIGEST
                else f"{name} was {was} and is {is_now}"
            )


def refuse_changes(path: Path, changed: Sequence[str]) -> None:
    """Raise ConfigError for settings that are not those which a directory was made with."""
    if changed:
        raise ConfigError(
            f"{path} was made with other settings: {'; '.join(changed)}; go on with those, or "
            "name another directory"
        )


def drop_torn_line(path: Path) -> None:
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


def plain(settings: Settings) -> Settings:
    """Return settings as they are read back from a file."""
    return msgspec.json.decode(msgspec.json.encode(settings))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
