"""Finished searches of the page, by their ids: in a directory, or the last ones in memory."""

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from ttc_client.gateway.refusals import RefusedError
from ttc_client.report.solved import read_search
from ttc_client.runtime.store import RESULT, RunDirectory
from ttc_client.types import SearchResult

_ID = re.compile(r"[0-9a-f]{32}")
_IN_MEMORY = 64


@dataclass(slots=True)
class KeptSearches:
    """Keep searches below `directory`, each as `ttc solve --out` would; None: in memory."""

    directory: Path | None = None
    _last: OrderedDict[str, SearchResult] = field(default_factory=OrderedDict[str, SearchResult])

    async def keep(self, number: str, result: SearchResult) -> None:
        """Keep a search under a new id; raises TTCError where it cannot be written."""
        if self.directory is not None:
            await asyncio.to_thread(_write, self.directory / number, result)
            return
        self._last[number] = result
        if len(self._last) > _IN_MEMORY:
            self._last.popitem(last=False)

    async def find(self, number: str) -> SearchResult:
        """Return a search; raises RefusedError (404) for one that is not kept."""
        if _ID.fullmatch(number):
            if number in self._last:
                return self._last[number]
            if self.directory and (self.directory / number / RESULT).is_file():
                return await asyncio.to_thread(read_search, self.directory / number)
        raise RefusedError(f"no search {number[:40]!r} is kept here", status=404)


def _write(path: Path, result: SearchResult) -> None:
    with RunDirectory(path) as directory:
        directory.finish(result)
