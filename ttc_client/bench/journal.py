"""Write the directory of a bench run, so that whatever was finished is on disk.

A search's record is written last: `kill -9` loses what was in flight, and no more. The files are
described in `runs`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ttc_client.bench.ledger import (
    DIGEST,
    LinesDirectory,
    changes,
    our_errors,
    refuse_changes,
)
from ttc_client.bench.runs import (
    COSTS,
    PROBLEMS,
    RESULTS,
    TRACES,
    Settings,
    problems_digest,
    read_lines,
)
from ttc_client.runtime.lines import write_whole
from ttc_client.runtime.records import Cost, Key, Record, Trace, key_of
from ttc_client.types import Problem

_GRID = ("strategy", "n", "seed")
"""What a run may grow by; of all other settings, those that decide a search must stay."""


class Journal(LinesDirectory):
    """A run's directory, whose grid may grow with `resume`.

    `finished` has the searches that need not be run again, and how right they are.
    """

    def __init__(
        self, path: Path, settings: Settings, problems: Sequence[Problem], *, resume: bool
    ) -> None:
        lines = b"".join(msgspec.json.encode(problem) + b"\n" for problem in problems)
        settings = {**settings, DIGEST: problems_digest(lines)}
        files = (COSTS, TRACES, RESULTS)
        super().__init__(path, settings, files, resume=resume, inputs={PROBLEMS: lines})
        self.finished: dict[Key, float] = {}

    async def write(
        self, record: Record, cost: Cost | None = None, trace: Trace | None = None
    ) -> None:
        """Append a search; returns once the operating system has it. Raises TTCError."""
        lines = ((COSTS, cost), (TRACES, trace), (RESULTS, record))
        await self._append([(name, line) for name, line in lines if line is not None])

    def sort(self, plan: Iterable[Key]) -> None:
        """Put the records into the order of the plan, in one piece; nothing is written after.

        Those that are not in the plan, of a larger grid, come last.
        """
        with our_errors(self.path):
            sort_results(self.path / RESULTS, plan)

    def _merged(self, before: Settings) -> Settings:
        """Return the settings of the run with its grid grown."""
        now = self._settings
        refuse_changes(self.path, [*changes_but_grid(before, now)])
        grid = {name: _union(before.get(name, []), now.get(name, [])) for name in _GRID}
        return {**before, **grid, "own": {**before.get("own", {}), **now.get("own", {})}}

    def _recover(self, name: str) -> None:
        """Find what is finished."""
        if name == RESULTS:
            for record, *_ in read_lines(self.path / name, Record):
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
