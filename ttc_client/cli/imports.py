"""`ttc import`: from the published toolkit's JSON lines to a run directory."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ttc_client.cli.bench import print_accuracies
from ttc_client.cli.options import Json, Quiet, out_path
from ttc_client.errors import ConfigError, TTCError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ttc_client.bench.regrade import Regrading


def import_(
    out: Annotated[
        Path,
        typer.Option("--out", parser=out_path, metavar="PATH", help="The directory of the run."),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files in JSON lines (.jsonl, .jsonl.gz) or .parquet. (default: stdin)"
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", "-s", help="What sampled them. (default: as row or path says)"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Their seed. (default: as row or path says, seed-0, else 0)"),
    ] = None,
    n: Annotated[
        str | None,
        typer.Option(
            "-n",
            help="Budgets N, with commas: the first N completions of each row. "
            "(default: all of them)",
        ),
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option(help="sal extracts answers and votes as the toolkit does, too."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Grade what the published toolkit, search-and-learn, sampled, and make a run of it.

    Reads its results and its datasets on the Hugging Face Hub, and what ttc export --format sal
    prints. Needs no server. Damaged rows are named and left out; then it exits with 1.

    [bold]Examples[/bold]

      ttc import best_of_n_completions.jsonl --out runs/theirs

      ttc import train.parquet -s dvts --seed 0 -n 4,16 --out runs/theirs
    """
    import msgspec
    from rich.console import Console

    from ttc_client.bench.imports import load_sampled
    from ttc_client.bench.regrade import Regrading
    from ttc_client.bench.runs import CONFIG
    from ttc_client.search.params import check_choice
    from ttc_client.search.strategies import find_strategy
    from ttc_client.types import Compat

    if strategy is not None:
        find_strategy(strategy)
    if compat is not None:
        check_choice("compat", compat, Compat)
    if (out / CONFIG).exists():
        raise ConfigError(f"out is {out}: it holds a run already; name another directory")
    rows, damaged = load_sampled(files or [Path("-")], strategy, seed, _budgets(n))
    for line in damaged:
        print(f"ttc: {line}", file=sys.stderr)
    if not rows:
        raise ConfigError("no row can be imported: there is nothing to grade")
    regrading = Regrading(rows, msgspec.convert(compat, Compat | None))
    asyncio.run(_run(regrading, out, Console(stderr=True, quiet=quiet)))
    print_accuracies(out, json=json)
    if damaged:
        raise TTCError(f"{len(damaged)} of {len(rows) + len(damaged)} rows were left out")


class _View:
    def __init__(self, regrading: "Regrading") -> None:
        self._regrading = regrading

    async def lines(self) -> "Sequence[RenderableType]":
        """Say how many rows are graded."""
        return (f"{self._regrading.num_done} of {len(self._regrading.rows)} rows graded",)

    def news(self) -> "Sequence[RenderableType]":
        """Nothing comes to an end before all rows do."""
        return ()


async def _run(regrading: "Regrading", out: Path, console: "Console") -> None:
    from ttc_client.bench.journal import Journal
    from ttc_client.report.progress import show

    with Journal(out, regrading.settings, regrading.problems, resume=False) as journal:
        async with show(_View(regrading), console):
            await regrading.run(journal)


def _budgets(text: str | None) -> list[int]:
    """Read numbers with commas between them."""
    from ttc_client.search.params import MAX_N

    try:
        budgets = sorted({int(part) for part in text.split(",")}) if text is not None else []
    except ValueError:
        budgets = [0]
    if budgets and not 1 <= budgets[0] <= budgets[-1] <= MAX_N:
        raise ConfigError(f"n is {text!r}: write it as numbers from 1 to {MAX_N:,}, such as 4,16")
    return budgets
