"""The output directory of one search: `trace.jsonl`, a line per answered request while the search
runs, and `result.json`.
"""

from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from ttc_client.errors import ConfigError, TTCError
from ttc_client.middleware.meter import Exchange
from ttc_client.runtime.lines import LineWriter, write_whole
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import SearchResult

RESULT, TRACE = "result.json", "trace.jsonl"


class RunDirectory:
    """Write one search's trace and result, as a context manager; no trace if nothing happened.

    Raises ConfigError for a directory that cannot be written or that holds a search already. A
    write that fails later, on a full disk say, stops no search: `finish` raises TTCError then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lines = LineWriter(self.path, [TRACE], "xb")
        except OSError as error:
            taken = isinstance(error, FileExistsError) and self.path.is_dir()
            why = "it holds a search already; name another directory" if taken else error.strerror
            raise ConfigError(f"out is {self.path}: {why}") from error
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):  # of what `finish` reports, or of a search that failed anyway
            self._lines.close()
        with suppress(OSError):
            if not (self.path / TRACE).stat().st_size:  # no server ever answered
                (self.path / TRACE).unlink()

    def record(self, exchange: Exchange) -> None:
        """Append one answered request; nothing after one that could not be written."""
        if not self._lines.failure:
            self._last = self._lines.append([(TRACE, _line(exchange))])

    def finish(self, result: SearchResult) -> None:
        """Write the result, in one piece or not at all, once the trace is written.

        Raises TTCError that names what of the two could not be kept.
        """
        lost: dict[str, OSError] = {}
        try:
            if self._last:
                self._last.result()
        except OSError as error:
            lost[f"the rest of {TRACE}"] = error
        try:
            content = msgspec.json.format(msgspec.json.encode(result)) + b"\n"
            write_whole(self.path / RESULT, [content])
        except OSError as error:
            lost[RESULT] = error
        if lost:
            error = next(iter(lost.values()))
            raise TTCError(
                f"cannot write to {self.path}: {error.strerror or error}; {' and '.join(lost)} "
                "could not be kept; what was written before is intact"
            ) from error


def _line(exchange: Exchange) -> dict[str, Any]:
    match exchange:
        case SampleRequest() as request, Samples() as reply:
            steps = [
                step and {"text": step.text, "finish": step.finish, "num_tokens": step.num_tokens}
                for step in reply.steps
            ]
            asked = {"path": request.trajectory.path, "seed": request.seed}
            return {"sampled": steps, **asked, "usage": reply.usage}
        case ScoreRequest() as request, Scores() as reply:
            asked = {"scored": request.items, "path": request.path}
            return {**asked, "scores": reply.scores, "usage": reply.usage}
