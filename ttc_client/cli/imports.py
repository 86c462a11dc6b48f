"""`ttc import`: from the published toolkit's JSON lines to a run directory."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from ttc_client.bench.imports import load_sampled
from ttc_client.bench.journal import Journal
from ttc_client.bench.regrade import Regrading
from ttc_client.bench.runs import CONFIG
from ttc_client.cli.bench import print_accuracies
from ttc_client.errors import ConfigError, TTCError
from ttc_client.report.progress import show
from ttc_client.search.params import check_choice
from ttc_client.types import Compat, Strategy


@dataclass(frozen=True, slots=True)
class _View:
    regrading: Regrading

    async def line(self) -> Text:
        """Say how many rows are graded."""
        return Text(f"{self.regrading.num_done} of {len(self.regrading.rows)} rows graded")


def import_files(
    paths: Sequence[Path],
    *,
    out: Path,
    strategy: str | None,
    seed: int | None,
    budgets: Sequence[int],
    compat: str | None,
    json: bool,
    quiet: bool,
) -> None:
    """Grade files into a run directory, and print the accuracies.

    Raises ConfigError where no row is sound, and TTCError, after all else, where some are not.
    """
    for name, value, kind in (("strategy", strategy, Strategy), ("compat", compat, Compat)):
        if value is not None:
            check_choice(name, value, kind)
    sampler = msgspec.convert(strategy, Strategy | None)
    if (out / CONFIG).exists():
        raise ConfigError(f"out is {out}: it holds a run already; name another directory")
    rows, damaged = load_sampled(paths, sampler, seed, budgets)
    for line in damaged:
        print(f"ttc: {line}", file=sys.stderr)
    if not rows:
        raise ConfigError("no row can be imported: there is nothing to grade")
    regrading = Regrading(rows, msgspec.convert(compat, Compat | None))
    asyncio.run(_run(regrading, out, Console(stderr=True, quiet=quiet)))
    print_accuracies(out, json=json)
    if damaged:
        raise TTCError(f"{len(damaged)} of {len(rows) + len(damaged)} rows were left out")


async def _run(regrading: Regrading, out: Path, console: Console) -> None:
    with Journal(out, regrading.settings, regrading.problems, resume=False) as journal:
        async with show(_View(regrading), console):
            await regrading.run(journal)
