"""Append whole JSON lines to files, so that what was paid for is on disk whatever happens next.

Lines are written in a thread of their own, each whole or not at all, and are on disk a second
later.
"""

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

_SYNC_EVERY_S = 1.0


class LineWriter:
    """Append to some files of a directory; close it when done.

    `mode` "xb" insists on new files. After a write has failed, as on a full disk, all later ones
    fail alike, with OSError. Raises OSError for files that cannot be opened.
    """

    def __init__(
        self, directory: Path, names: Iterable[str], mode: Literal["ab", "xb"] = "ab"
    ) -> None:
        self.failure: OSError | None = None
        self._synced_s = time.monotonic()
        with ExitStack() as stack:
            self._files: dict[str, BinaryIO] = {
                name: stack.enter_context((directory / name).open(mode, buffering=0))
                for name in names
            }
            self._resources = stack.pop_all()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lines")

    def append(self, lines: Sequence[tuple[str, Any]]) -> Future[None]:
        """Append an object to each of some files; the future is done once the system has them."""
        return self._thread.submit(self._append, lines)

    def close(self) -> None:
        """Write what is left and close the files; raises OSError where that fails."""
        self._thread.shutdown()
        with self._resources:
            if self.failure is None:
                self._sync()

    def _append(self, lines: Sequence[tuple[str, Any]]) -> None:
        if self.failure:
            raise self.failure
        try:
            for name, line in lines:
                append_whole(self._files[name], msgspec.json.encode(line) + b"\n")
            if time.monotonic() > self._synced_s + _SYNC_EVERY_S:
                self._sync()
        except OSError as error:
            self.failure = error
            raise

    def _sync(self) -> None:
        for file in self._files.values():
            os.fsync(file.fileno())
        self._synced_s = time.monotonic()


def append_whole(file: BinaryIO, line: bytes) -> None:
    """Append to an unbuffered file all or nothing; raises OSError, as when the disk is full.

    A disk that fills up in the middle takes the first part, and says so only by its length.
    """
    end, written = file.seek(0, os.SEEK_END), 0
    try:
        while written < len(line):
            written += file.write(line[written:])
    except OSError:
        file.truncate(end)
        raise


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file in one piece or not at all; raises OSError."""
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
