"""`ttc label`: from solutions to labels of their steps, by rollouts."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ttc_client.cli.options import Json, Quiet, out_path
from ttc_client.errors import TTCError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from ttc_client.bench.labelling import Labelling
    from ttc_client.bench.unlabelled import UnlabelledSet


def label(
    settings: dict[str, Any],
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATASET|RUN",
            help="A run directory of ttc bench, or rows of a problem, an answer, and steps or a "
            "solution: a file, or a Hugging Face dataset.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", parser=out_path, metavar="PATH", help="The directory of the labels."),
    ],
    k: Annotated[int, typer.Option("-k", help="Rollouts from each step that is looked at.")] = 8,
    method: Annotated[
        str,
        typer.Option(help="every: from each step; binary: bisect for the first error."),
    ] = "every",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")] = False,
    limit: Annotated[
        int | None, typer.Option(help="Only so many solutions: a sample, the same each time.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of a Hugging Face dataset. (default: test)")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Label the steps of solutions without people: which of them still lead to the right answer?

    From each step, K completions are sampled and graded. A step's value is the share that is right,
    its label whether any is (Math-Shepherd). --method binary looks for the first step from which
    none is, at a fraction of the rollouts (OmegaPRM). Prefixes that read the same share theirs.

    [bold]Examples[/bold]

      ttc label runs/demo -k 8 --out labels

      ttc export labels --format prm > steps.jsonl
    """
    from rich.console import Console

    from ttc_client.bench.labelling import Method
    from ttc_client.bench.unlabelled import read_unlabelled
    from ttc_client.report.terminal import clean
    from ttc_client.search.params import MAX_N, check_choice, check_count

    check_choice("method", method, Method)
    check_count("k", k, most=MAX_N)
    if limit is not None:
        check_count("limit", limit)
    found = read_unlabelled(source, split)
    if found.note:
        print(f"ttc: {clean(found.note)}", file=sys.stderr)
    console = Console(stderr=True, quiet=quiet)
    plan = {"source": source, "method": method, "k": k, "limit": limit}
    labelling = asyncio.run(_run(settings, plan, found, out, resume, console))
    _show(labelling, out, json=json)
    if failed := labelling.failed:
        raise TTCError(
            f"{len(failed)} of {len(labelling.solutions)} solutions were not labelled, the last "
            f"one because: {failed[-1].error}; --resume tries them again"
        )


async def _run(
    given: dict[str, Any],
    plan: dict[str, Any],
    found: "UnlabelledSet",
    out: Path,
    resume: bool,
    console: "Console",
) -> "Labelling":
    from ttc_client.bench.labelling import LABELS, ROLLOUTS, Labelled, Labelling, Rollouts
    from ttc_client.bench.ledger import Ledger
    from ttc_client.bench.sources import sample
    from ttc_client.report.progress import show
    from ttc_client.runtime.client import Client
    from ttc_client.settings.config import load_settings

    given = {**given, "strategy": "majority", "n": plan["k"]}
    task: dict[str, Any] = found.settings.get("task") or {}
    for name, value in {**task, "task": task.get("name")}.items():
        if name in given and given[name] is None:  # as the run was asked
            given[name] = value
    settings = load_settings(given, os.environ)
    params = settings.params
    async with Client(settings.servers_for([params]), settings.task) as client:
        recorded = {
            **plan,
            "policy": client.models["policy"],
            "temperature": params.temperature,
            "top_p": params.top_p,
            "max_completion_tokens": params.max_completion_tokens,
            "rollout_seed": params.seed if params.seeds else None,
            "task": {
                "name": settings.task.name,
                "system_prompt": getattr(settings.task, "system_prompt", ""),
            },
        }
        with Ledger(out, recorded, {ROLLOUTS: Rollouts, LABELS: Labelled}, resume=resume) as ledger:
            solutions = sample(found.solutions, plan["limit"])
            labelling = Labelling(solutions, plan["method"], params, ledger)
            async with show(_View(labelling), console):
                await labelling.run(client)
    return labelling


class _View:
    def __init__(self, labelling: "Labelling") -> None:
        self._labelling = labelling

    async def lines(self) -> "Sequence[RenderableType]":
        """Say how many solutions are labelled, and at what cost so far."""
        found = self._labelling
        done = f"{len(found.labelled)} of {len(found.solutions)} solutions labelled"
        return (f"{done} · {found.num_rollouts:,} rollouts, {found.num_shared:,} shared",)

    def news(self) -> "Sequence[RenderableType]":
        """Nothing comes to an end before all solutions do."""
        return ()


def _show(labelling: "Labelling", out: Path, *, json: bool) -> None:
    from ttc_client.report.terminal import counted, print_json

    lines = [line for line in labelling.labelled.values() if not line.error]
    steps = [label for line in lines for label in line.labels]
    found = {
        "solutions": len(lines),
        "steps": len(steps),
        "good_steps": sum(steps),
        "rollouts": labelling.num_rollouts,
        "shared_rollouts": labelling.num_shared,
        "usage": labelling.usage,
    }
    if json:
        print_json(found)
        return
    tokens = labelling.usage.completion_tokens
    print(
        f"{counted(len(lines), 'solution')} of {counted(len(steps), 'step')}, of which "
        f"{sum(steps)} are good; {labelling.num_rollouts:,} rollouts ({tokens:,} tokens), "
        f"{labelling.num_shared:,} more were shared"
    )
    print(f"\nThe labels are in {out}. To train on them:\n  ttc export {out} --format prm")
