"""`ttc bench`: a problem set, from the command line to a run directory."""

import asyncio
import os
import shlex
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ttc_client.cli.apart import go_on_apart
from ttc_client.cli.options import Json, Quiet, out_path
from ttc_client.errors import ConfigError, TTCError

if TYPE_CHECKING:
    from rich.console import Console

    from ttc_client.bench.bench import Bench, Standing
    from ttc_client.bench.recipe import Plan
    from ttc_client.settings.servers import Servers


def bench(
    settings: dict[str, Any],
    out: Annotated[
        Path,
        typer.Option("--out", parser=out_path, metavar="PATH", help="The directory of the run."),
    ],
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="A .jsonl, .json, .csv, .tsv or .parquet file, also .gz, a Hugging Face dataset, "
            "demomath."
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with dataset, grid and settings, or one that ttc recipes lists. "
            "(default: ttc.toml)"
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --out; its grid may be larger now."),
    ] = False,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy", "-s", help="Strategies, with commas. (default: greedy and the usual one)"
        ),
    ] = None,
    n: Annotated[str | None, typer.Option("-n", help="Budgets N, with commas.")] = None,
    seed: Annotated[str | None, typer.Option(help="Seeds, with commas.")] = None,
    levels: Annotated[str | None, typer.Option(help="Only these levels, with commas.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only so many problems: a sample, each level's share.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Only shard i of k of the problems: i/k; or auto, as Slurm, Kubernetes or "
            "SkyPilot says, into a directory of its own in --out (ttc guide many-machines)."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Where a field is, such as answer=final_answer; repeat it."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of a Hugging Face dataset. (default: test)")
    ] = None,
    traces: Annotated[
        bool, typer.Option("--traces/--no-traces", help="Keep everything that was sampled.")
    ] = True,
    demo: Annotated[
        bool, typer.Option("--demo", help="Let the demo models answer other sets than demomath.")
    ] = False,
    all_votes: Annotated[
        bool, typer.Option("--all-votes", help="Print every vote, the oracle's too, with costs.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Search on a Ray cluster, HOST:PORT or auto (ttc guide many-machines).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Workers on Ray. (default: a core each, of the cluster's; 16 at most)"
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a grid of strategies, budgets and seeds over a problem set, and grade the answers.

    Every problem, N and seed is a line in --out as soon as it is finished: stop the run at any
    time, and --resume completes it to the same result. Best-of-N runs at the largest N alone; its
    smaller budgets, and majority voting, are read off its samples.

    [bold]Examples[/bold]

      ttc bench demomath --limit 20 -s greedy,dvts -n 4,16 --out runs/demo

      ttc bench --recipe llama-1b --policy URL --prm URL --out runs/1b --resume
    """
    from rich.console import Console
    from rich.text import Text

    from ttc_client.bench.recipe import load_plan
    from ttc_client.bench.shards import AUTO, find_shard
    from ttc_client.report.terminal import failures, retries

    own = {
        "dataset": dataset,
        "strategy": strategy,
        "n": n,
        "seed": seed,
        "levels": levels,
        "limit": limit,
        "shard": shard,
        "column": _pairs(column),
        "split": split,
    }
    if shard and shard.startswith(AUTO):  # what a requeued task goes on with lies there
        found = find_shard(shard, os.environ, out)
        own["shard"], out, resume = str(found), found.path, True
    plan = load_plan({**settings, **own}, os.environ, recipe, demo=demo)
    console = Console(stderr=True, quiet=quiet)
    if plan.selected:
        console.print(Text(plan.selected))
    sitting = _Sitting(plan, out, console, resume, traces)
    if ray is None:
        searched = sitting.search()
    else:
        go_on_apart(f"the process that the workers answer to has died; {_saved(out)}")
        searched = sitting.search_on_ray(ray, workers)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    standing = asyncio.run(searched)
    for said in (retries(standing.usage), failures(standing.usage)):
        if said:
            console.print(Text(said, style="dim"))
    print_accuracies(out, json=json, all_votes=all_votes)
    if standing.num_failed:
        raise TTCError(
            f"{standing.num_failed} of {standing.num_searches} searches failed, the last one "
            f"with: {standing.latest_error}; --resume runs them again"
        )


@dataclass(frozen=True, slots=True)
class _Sitting:
    """A run, from its servers to its directory, until it ends or is stopped."""

    plan: "Plan"
    out: Path
    console: "Console"
    resume: bool
    traces: bool

    @property
    def servers(self) -> "Servers":
        """The servers that the searches need."""
        return self.plan.settings.servers_for(self.plan.searches)

    async def search(self) -> "Standing":
        """Search in this process."""
        from ttc_client.runtime.client import Client

        async with Client(self.servers, self.plan.settings.task) as client:
            for params in self.plan.searches:
                client.check(params)
            return await self._keep(client.models, lambda bench: bench.run(client))

    async def search_on_ray(self, address: str, num_workers: int | None) -> "Standing":
        """Search on a Ray cluster; only this process writes."""
        from rich.text import Text

        from ttc_client.bench.leases import employ
        from ttc_client.bench.on_ray import check_travels, ray_cluster
        from ttc_client.bench.worker import Work
        from ttc_client.report.terminal import clean

        plan = self.plan
        work = Work(self.servers, plan.settings.task, plan.searches, num_workers or 1)
        check_travels(work)
        with ray_cluster(address) as (hire, usual):
            work = replace(work, num_workers=num_workers or usual)

            def say(text: str) -> None:
                if self.console.quiet:
                    print(f"ttc: {clean(text)}", file=sys.stderr)
                else:
                    self.console.print(Text(clean(text)), soft_wrap=True)

            async with employ(hire, work, say) as fleet:
                return await self._keep(fleet.models, lambda bench: bench.run_on(fleet))

    async def _keep(
        self, models: Mapping[str, str | None], run: Callable[["Bench"], Awaitable[None]]
    ) -> "Standing":
        from ttc_client.bench.bench import Bench
        from ttc_client.bench.journal import Journal
        from ttc_client.report.bench_line import BenchView
        from ttc_client.report.progress import show

        plan = self.plan
        settings = {**plan.recorded, **models, "demo": self.servers.is_demo}
        with Journal(self.out, settings, plan.problems, resume=self.resume) as journal:
            bench = Bench(plan.problems, plan.searches, journal, traces=self.traces)
            try:
                async with show(BenchView(bench.standing), self.console):
                    await run(bench)
            except asyncio.CancelledError:
                standing = bench.standing
                counted = f"{standing.finished.total()} of {standing.num_searches} searches"
                print(f"ttc: {_saved(self.out, counted)}", file=sys.stderr)
                raise
        return bench.standing


def _interrupt(*_: object) -> None:
    """End a run that is preempted as Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


def _saved(out: Path, what: str = "all finished searches") -> str:
    """Say what is on disk, and how to go on."""
    arguments = [a for a in sys.argv[1:] if a != "--resume"]
    command = shlex.join(["ttc", *arguments, "--resume"])
    return f"{what} are saved in {out}; go on with: {command}"


def print_accuracies(out: Path, *, json: bool, all_votes: bool = False) -> None:
    """Print what a run found and how to go on, or a JSON list of its rows."""
    from rich.console import Console
    from rich.text import Text

    from ttc_client.analysis.curves import read_curves
    from ttc_client.bench.doubts import doubts
    from ttc_client.bench.runs import read_run
    from ttc_client.report.rows import accuracy_rows
    from ttc_client.report.summary import print_table, short_table
    from ttc_client.report.tables import ModelSizes, accuracy_table
    from ttc_client.report.terminal import clean, print_json

    run = read_run(out)
    for doubt in doubts(run):
        print(f"ttc: {clean(doubt)}", file=sys.stderr)
    points = read_curves([run])
    if json:
        print_json(accuracy_rows(points))
        return
    console = Console()
    if all_votes:
        every = accuracy_table(points, ModelSizes())
        print_table(every, Console(width=None if sys.stdout.isatty() else 160))
    else:
        print_table(short_table(points, run.settings.get("n", ())), console)
    said = f"\nThe run is in {out}. To draw it:\n  ttc report {out} --out report"
    console.print(Text(said), soft_wrap=True)  # a command to copy


def _pairs(texts: list[str] | None) -> dict[str, str] | None:
    """Read name=value pairs; None where there are none."""
    if wrong := [text for text in texts or () if "=" not in text]:
        raise ConfigError(f"column is {wrong[0]!r}: write it as FIELD=COLUMN")
    return dict(text.split("=", 1) for text in texts) if texts else None
