"""`ttc solve`: one problem, from the command line to the screen."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from ttc_client.middleware.meter import Meter
from ttc_client.report.progress import show_progress
from ttc_client.report.terminal import print_json, print_result
from ttc_client.runtime.client import Client
from ttc_client.runtime.store import RunDirectory
from ttc_client.settings.config import SearchConfig
from ttc_client.types import SearchResult


def solve_problem(
    problem: str,
    config: SearchConfig,
    *,
    out: Path | None,
    tree: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Solve a problem, and print the result to stdout."""
    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(out)) if out else None
        meter = Meter(on_exchange=directory.record) if directory else Meter()
        result = asyncio.run(_solve(problem, config, meter, quiet))
        if directory:
            directory.finish(result)
    if json:
        print_json(result)
    else:
        print_result(result, Console(), tree=tree)


async def _solve(problem: str, config: SearchConfig, meter: Meter, quiet: bool) -> SearchResult:
    console = Console(stderr=True, quiet=quiet)
    async with Client(config) as client, show_progress(client, meter, console):
        return await client.solve(problem, meter)
