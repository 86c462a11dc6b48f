"""`ttc prm eval`: how good verifiers are at finding the first wrong step."""

import asyncio
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ttc_client.cli.options import Json, Quiet, out_path
from ttc_client.errors import ConfigError, TTCError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from ttc_client.analysis.assessment import Assessment
    from ttc_client.bench.judging import Judging
    from ttc_client.settings.servers import Servers


def evaluate(
    settings: dict[str, Any],
    dataset: Annotated[
        str,
        typer.Argument(
            help="Solutions with their first errors, in the layout of ProcessBench or PRMBench: a "
            "file, a Hugging Face dataset such as Qwen/ProcessBench, or demoprocess."
        ),
    ],
    prm: Annotated[
        list[str] | None,
        typer.Option(
            help="URL of a verifier, or NAME=URL; repeat it for several side by side. Replicas of "
            "one are joined by commas. (default: the demo PRM)"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=out_path, metavar="PATH", help="The directory of scores and report."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with what is in --out; its verifiers are kept."),
    ] = False,
    threshold: Annotated[
        str,
        typer.Option(
            help="Steps with lower scores count as wrong: a number; fit, on one half of the "
            "problems for the other; or fit:SUBSET."
        ),
    ] = "0.5",
    run: Annotated[
        Path | None,
        typer.Option(help="A run of ttc bench: what would each verifier's votes gain on it?"),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of a Hugging Face dataset. (default: all of them)")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only so many solutions: a sample, the same each time.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge verifiers: do they find the first wrong step of a solution, and pass right ones?

    Per subset: how often the first error is named exactly, how often a right solution is passed,
    the harmonic mean of both (ProcessBench's F1), and the AUC of steps, with 95 % intervals, beside
    verifiers that read nothing. With --out, every score is kept as it comes in: --resume goes on
    after any end, and adds verifiers.

    [bold]Examples[/bold]

      ttc prm eval demoprocess

      ttc prm eval Qwen/ProcessBench --prm URL --threshold fit:gsm8k
    """
    from rich.console import Console

    from ttc_client.analysis.assessment import assess
    from ttc_client.analysis.rerank import Resampled
    from ttc_client.analysis.thresholds import Threshold
    from ttc_client.bench.judging import SCORES, Judging, ScoredWork, Work
    from ttc_client.bench.ledger import Ledger
    from ttc_client.bench.runs import read_run
    from ttc_client.bench.solutions import read_solutions
    from ttc_client.bench.sources import sample
    from ttc_client.report.terminal import clean
    from ttc_client.search.params import check_count

    if limit is not None:
        check_count("limit", limit)
    held_to = Threshold.read(threshold)
    servers = _servers(settings, prm)
    found = read_solutions(dataset, split)
    for note in found.notes:
        print(f"ttc: {clean(note)}", file=sys.stderr)
    solutions = sample(found.solutions, limit)
    resampled = Resampled.of(read_run(run)) if run else None
    work = [Work(s.id, s.problem, s.steps) for s in solutions]
    work += resampled.work() if resampled else []
    console = Console(stderr=True, quiet=quiet)
    with ExitStack() as stack:
        kept = {"dataset": dataset, "split": split}
        ledger = out and stack.enter_context(Ledger(out, kept, {SCORES: ScoredWork}, resume=resume))
        judging = Judging(work, ledger or None)
        asyncio.run(_judge(servers, judging, console))
        found_out = assess(dataset, found.notes, solutions, judging, held_to, resampled)
        _show(found_out, out, json=json)
    failed = sum(each.cost.num_failed for each in found_out.verifiers if each.cost)
    if failed:
        error = next(
            e.cost.latest_error for e in found_out.verifiers if e.cost and e.cost.num_failed
        )
        raise TTCError(f"{failed} solutions were not scored, the last one because: {error}")


def _servers(settings: dict[str, Any], prms: list[str] | None) -> "list[tuple[str, Servers]]":
    """Return the servers of each verifier, under the name that it was given, "" if none."""
    from ttc_client.clients.functions import no_policy
    from ttc_client.settings.config import load_settings

    only_judged = {**settings, "policy": [no_policy]}
    if not prms:
        found = load_settings(only_judged, os.environ).servers
        return [("", found if found.verifiers else replace(found, policy=()))]
    named: list[tuple[str, str]] = []
    for given in prms:
        name, equals, places = given.partition("=")
        named.append((name, places) if equals and "/" not in name else ("", given))
    return [
        (name, load_settings({**only_judged, "prm": places}, os.environ).servers)
        for name, places in named
    ]


async def _judge(
    servers: "list[tuple[str, Servers]]", judging: "Judging", console: "Console"
) -> None:
    from ttc_client.report.progress import show
    from ttc_client.runtime.client import Client

    taken: set[str] = set()
    async with show(_View(judging), console):
        for name, places in servers:
            async with Client(places) as client:
                name = name or str(client.models["prm"])
                if name in taken:
                    raise ConfigError(
                        f"two verifiers are called {name!r}: name them, as in --prm NAME=URL"
                    )
                taken.add(name)
                await judging.run(client, name)


class _View:
    def __init__(self, judging: "Judging") -> None:
        self._judging = judging

    async def lines(self) -> "Sequence[RenderableType]":
        """Say how many solutions the present verifier has scored."""
        judging = self._judging
        done = judging.num_done[judging.verifier]
        return (
            f"{judging.verifier or 'connecting'}: {done} of {len(judging.work)} solutions scored",
        )

    def news(self) -> "Sequence[RenderableType]":
        """Nothing comes to an end before all solutions do."""
        return ()


def _show(found: "Assessment", out: Path | None, *, json: bool) -> None:
    from rich.console import Console

    from ttc_client.report.summary import print_table
    from ttc_client.report.terminal import clean, print_json
    from ttc_client.report.verifiers import doubts, tables, write_assessment

    written = write_assessment(found, out) if out else None
    for doubt in doubts(found):
        print(f"ttc: {clean(doubt)}", file=sys.stderr)
    if json:
        print_json(found)
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    for table in tables(found):
        console.print(f"[bold]{table.name}[/bold]")
        print_table(table.filled(), console)
        console.print()
    if written:
        print(written)
