"""`ttc bench`: a problem set, from the command line to a run directory."""

import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ttc_client.analysis.curves import read_curves
from ttc_client.bench.bench import Bench, Standing
from ttc_client.bench.journal import Journal
from ttc_client.bench.recipe import Plan
from ttc_client.bench.runs import read_run
from ttc_client.errors import TTCError
from ttc_client.report.bench_line import BenchView
from ttc_client.report.progress import show
from ttc_client.report.rows import accuracy_rows
from ttc_client.report.summary import print_table
from ttc_client.report.tables import ModelSizes, accuracy_table
from ttc_client.report.terminal import print_json, retries
from ttc_client.runtime.client import Client


def run_bench(
    plan: Plan, *, out: Path, resume: bool, traces: bool, json: bool, quiet: bool
) -> None:
    """Run a plan into a directory, and print the accuracies; raises TTCError if a search failed."""
    standing = asyncio.run(_run(plan, out, resume, traces, Console(stderr=True, quiet=quiet)))
    print_accuracies(out, json=json)
    if standing.num_failed:
        raise TTCError(
            f"{standing.num_failed} of {standing.num_searches} searches failed, the last one "
            f"with: {standing.latest_error}; --resume runs them again"
        )


def print_accuracies(out: Path, *, json: bool) -> None:
    """Print what a run found, as a table or as a JSON list of its rows."""
    points = read_curves([read_run(out)])
    if json:
        print_json(accuracy_rows(points))
    else:
        print_table(
            accuracy_table(points, ModelSizes()),
            Console(width=None if sys.stdout.isatty() else 160),
        )


async def _run(plan: Plan, out: Path, resume: bool, traces: bool, console: Console) -> Standing:
    async with Client(plan.config) as client:
        settings = {**plan.settings, **client.models}
        with Journal(out, settings, plan.problems, resume=resume) as journal:
            bench = Bench(plan.problems, plan.searches, journal, traces=traces)
            async with show(BenchView(bench.standing), console):
                await bench.run(client)
    if said := retries(bench.standing.usage):
        console.print(Text(said, style="dim"))
    return bench.standing
