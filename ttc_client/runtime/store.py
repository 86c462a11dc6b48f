"""The output directory of a search: what was paid for is on disk, whatever happens next.

`trace.jsonl` gets a line per answered request while the search runs, `result.json` the result.
Files are written in a thread of their own, in whole lines: what a full disk left of the last one
is taken back. They are on disk a second later.
"""

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from ttc_client.errors import ConfigError, TTCError
from ttc_client.middleware.meter import Exchange
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import SearchResult

_SYNC_EVERY_S = 1.0


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


class RunDirectory:
    """Write one search's trace and result, as a context manager; no trace if nothing happened.

    Raises ConfigError for a directory that cannot be written or that holds a search already,
    and TTCError when a write fails later, on a full disk say.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._last: Future[None] | None = None
        self._failure: OSError | None = None
        self._synced_s = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._trace = (self.path / "trace.jsonl").open("xb", buffering=0)
        except OSError as error:
            taken = isinstance(error, FileExistsError) and self.path.is_dir()
            why = "it holds a search already; name another directory" if taken else error.strerror
            raise ConfigError(f"out is {self.path}: {why}") from error
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.shutdown()
        if not os.fstat(self._trace.fileno()).st_size:  # no server ever answered
            (self.path / "trace.jsonl").unlink(missing_ok=True)
        with suppress(OSError):  # a failed write is told by then
            os.fsync(self._trace.fileno())
        self._trace.close()

    def record(self, exchange: Exchange) -> None:
        """Append one answered request; raises TTCError if an earlier one could not be written."""
        self._check()
        self._last = self._writer.submit(self._append, exchange)

    def finish(self, result: SearchResult) -> None:
        """Write the result, in one piece or not at all, once the trace is on disk."""
        temporary, final = self.path / "result.json.part", self.path / "result.json"
        try:
            if self._last:
                self._last.result()
            self._check()
            os.fsync(self._trace.fileno())
            with temporary.open("wb", buffering=0) as file:
                append_whole(file, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
                os.fsync(file.fileno())
            temporary.replace(final)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._failed(error) from error

    def _append(self, exchange: Exchange) -> None:
        if self._failure:
            return
        try:
            append_whole(self._trace, msgspec.json.encode(_line(exchange)) + b"\n")
            if time.monotonic() > self._synced_s + _SYNC_EVERY_S:
                os.fsync(self._trace.fileno())
                self._synced_s = time.monotonic()
        except OSError as error:
            self._failure = error

    def _check(self) -> None:
        if self._failure:
            raise self._failed(self._failure) from self._failure

    def _failed(self, error: BaseException) -> TTCError:
        return TTCError(f"cannot write to {self.path}: {error}; what was written so far is intact")


def _line(exchange: Exchange) -> dict[str, Any]:
    match exchange:
        case SampleRequest() as request, Samples() as reply:
            steps = [
                {"text": step.text, "finish": step.finish, "num_tokens": step.num_tokens}
                for step in reply.steps
            ]
            asked = {"path": request.trajectory.path, "seed": request.seed}
            return {"sampled": steps, **asked, "usage": reply.usage}
        case ScoreRequest() as request, Scores() as reply:
            asked = {"scored": request.items, "path": request.path}
            return {**asked, "scores": reply.scores, "usage": reply.usage}
