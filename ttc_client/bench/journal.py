"""Write the directory of a bench run, so that whatever was finished is on disk.

A search's record is written last: `kill -9` loses what was in flight, and no more. The files are
described in `runs`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import msgspec

from ttc_client.bench.ledger import (
    DIGEST,
    changes,
    drop_torn_line,
    holds_a_run,
    lock,
    our_errors,
    plain,
    refuse_changes,
    refuse_orphans,
)
from ttc_client.bench.runs import (
    CONFIG,
    COSTS,
    PROBLEMS,
    RESULTS,
    TRACES,
    Settings,
    encode_settings,
    problems_digest,
    read_lines,
    read_settings,
)
from ttc_client.errors import ConfigError
from ttc_client.runtime.lines import LineWriter, write_whole
from ttc_client.runtime.records import Cost, Key, Record, Trace, key_of
from ttc_client.types import Problem

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
        digest = problems_digest(self._problems)
        self._settings: Settings = plain({**settings, DIGEST: digest})
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

    async def write(
        self, record: Record, cost: Cost | None = None, trace: Trace | None = None
    ) -> None:
        """Append a search; returns once the operating system has it. Raises TTCError."""
        lines = ((COSTS, cost), (TRACES, trace), (RESULTS, record))
        written = self._lines.append([(name, line) for name, line in lines if line is not None])
        with our_errors(self.path):
            await asyncio.wrap_future(written)

    def sort(self, plan: Iterable[Key]) -> None:
        """Put the records into the order of the plan, in one piece; nothing is written after.

        Those that are not in the plan, of a larger grid, come last.
        """
        with our_errors(self.path):
            sort_results(self.path / RESULTS, plan)

    def _open(self, stack: ExitStack) -> None:
        lock(self.path, stack)
        if (self.path / CONFIG).exists():
            self._settings = self._merged_settings()
            self._recover()
        else:
            refuse_orphans(self.path, (COSTS, TRACES, RESULTS))
        write_whole(self.path / PROBLEMS, [self._problems])
        write_whole(self.path / CONFIG, [encode_settings(self._settings)])
        self._lines = LineWriter(self.path, (COSTS, TRACES, RESULTS))
        stack.callback(self._lines.close)

    def _merged_settings(self) -> Settings:
        """Return the settings of the run with its grid grown; raises ConfigError for others."""
        if not self._resume:
            raise holds_a_run(self.path)
        before, now = read_settings(self.path), self._settings
        refuse_changes(self.path, [*changes_but_grid(before, now)])
        grid = {name: _union(before.get(name, []), now.get(name, [])) for name in _GRID}
        return {**before, **grid, "own": {**before.get("own", {}), **now.get("own", {})}}

    def _recover(self) -> None:
        """Drop what a kill left half-written, and find what is finished."""
        for name in (COSTS, TRACES, RESULTS):
            if (self.path / name).exists():
                drop_torn_line(self.path / name)
        if (self.path / RESULTS).exists():
            for record, *_ in read_lines(self.path / RESULTS, Record):
                self.finished.pop(key_of(record), None)
                if not record.error:
                    self.finished[key_of(record)] = record.grade


def changes_but_grid(before: Settings, now: Settings, but: Iterable[str] = ()) -> Iterator[str]:
    """Say which settings were changed, but for the grid and what only one of two grids needs."""
    yield from changes(before, now, frozenset({*_GRID, "own", *but}))
    own: tuple[dict[str, Any], dict[str, Any]] = before.get("own", {}), now.get("own", {})
    for strategy in own[0].keys() & own[1].keys():
        yield from changes(own[0][strategy], own[1][strategy])


def sort_results(path: Path, plan: Iterable[Key]) -> None:
    """Put the records of a file into the order of a plan, in one piece; raises OSError.

    Those that are not in the plan come last.
    """
    lines = read_lines(path, Record, warn=False)  # who read the run has warned of damaged ones
    places = {key_of(line.value): (line.start, line.size) for line in lines}
    order = [key for key in dict.fromkeys((*plan, *places)) if key in places]
    with path.open("rb") as unsorted:

        def line(key: Key) -> bytes:
            start, size = places[key]
            unsorted.seek(start)
            return unsorted.read(size)

        write_whole(path, map(line, order))


def _union(before: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    """Return all values once, numbers in order."""
    values = list(dict.fromkeys((*before, *now)))
    return values if any(isinstance(value, str) for value in values) else sorted(values)
