"""`ttc bench`: a problem set, from the command line to a run directory."""

import asyncio
from pathlib import Path

from rich.console import Console

from ttc_client.bench import Bench, Standing
from ttc_client.bench_progress import BenchView
from ttc_client.errors import TTCError
from ttc_client.journal import Journal
from ttc_client.progress import show
from ttc_client.recipe import Plan
from ttc_client.runner import Client


def run_bench(plan: Plan, *, out: Path, resume: bool, traces: bool, quiet: bool) -> None:
    """Run a plan into a directory; raises TTCError if a search failed."""
    standing = asyncio.run(_run(plan, out, resume, traces, Console(stderr=True, quiet=quiet)))
    if standing.num_failed:
        raise TTCError(
            f"{standing.num_failed} of {standing.num_searches} searches failed, the last one "
            f"with: {standing.latest_error}; --resume runs them again"
        )


async def _run(plan: Plan, out: Path, resume: bool, traces: bool, console: Console) -> Standing:
    async with Client(plan.config) as client:
        settings = {**plan.settings, **client.models}
        with Journal(out, settings, plan.problems, resume=resume) as journal:
            bench = Bench(plan.problems, plan.searches, journal, traces=traces)
            async with show(BenchView(bench.standing), console):
                await bench.run(client)
    return bench.standing
