"""The commands that speak to servers: their flags and their help."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ttc_client.cli import EXIT_FAILED
from ttc_client.cli.options import search_options
from ttc_client.errors import ConfigError
from ttc_client.settings.config import Settings, load_settings

Problem = Annotated[
    str | None, typer.Argument(help="The problem, in words and LaTeX; stdin if left out.")
]
ProblemFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="Read the problem from a file.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with settings. (default: ttc.toml)")
]
OutputDirectory = Annotated[
    Path | None,
    typer.Option("--out", help="Write the result and every server's answer to this directory."),
]


@search_options
def solve(
    settings: dict[str, Any],
    problem: Problem = None,
    file: ProblemFile = None,
    config: ConfigFile = None,
    out: OutputDirectory = None,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the search tree.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Solve one problem.

    Without --policy and --prm, small demo servers are started on this machine: a tiny Llama and
    a tiny PRM that know a little arithmetic and algebra.

    [bold]Examples[/bold]

      ttc solve -s dvts -n 64 'What is $17 \\cdot 24 - 9$?'

      ttc solve --policy http://gpu1:8000 --prm http://gpu2:8001 -n 64 --tree < problem.txt
    """
    from ttc_client.cli.solve import solve_problem

    text = _problem(problem, file)
    search = _settings(settings, config).config
    solve_problem(text, search, out=out, tree=tree, json=json, quiet=quiet)


@partial(search_options, without=("strategy", "n", "seed", "vote"))
def bench(
    settings: dict[str, Any],
    out: Annotated[Path, typer.Option("--out", help="The directory of the run.")],
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="A .jsonl, .csv or .parquet file, a Hugging Face dataset, or demomath."
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with dataset, grid and settings, or a run of the blog post: "
            "llama-1b, llama-3b, qwen-1.5b. (default: ttc.toml)"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, failed problems too.")
    ] = False,
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Strategies, with commas.")
    ] = None,
    n: Annotated[str | None, typer.Option("-n", help="Budgets N, with commas.")] = None,
    seed: Annotated[str | None, typer.Option(help="Seeds, with commas.")] = None,
    levels: Annotated[str | None, typer.Option(help="Only these levels, with commas.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many problems.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="Only shard i of k of the problems: i/k.")
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
    json: Annotated[
        bool, typer.Option("--json", help="Print the accuracies as a JSON list.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Run a grid of strategies, budgets and seeds over a problem set, and grade the answers.

    Every problem, N and seed is a line in --out as soon as it is finished: stop the run at any
    time, and --resume completes it to the same result. Best-of-N runs at the largest N alone; its
    smaller budgets, and majority voting, are read off its samples.

    [bold]Examples[/bold]

      ttc bench demomath --limit 20 -s greedy,best-of-n,dvts -n 4,16 --out runs/demo

      ttc bench --recipe llama-1b --policy URL --prm URL --out runs/llama-1b --resume
    """
    from ttc_client.bench.recipe import load_plan
    from ttc_client.cli.bench import run_bench

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
    plan = load_plan({**settings, **own}, os.environ, recipe)
    run_bench(plan, out=out, resume=resume, traces=traces, json=json, quiet=quiet)


@search_options
def doctor(
    settings: dict[str, Any],
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Examine the servers, and say what is wrong and how to fix it.

    Takes some seconds, and the flags of ttc solve. Without --policy and --prm, the demo servers
    are examined. Exits with 1 if something would ruin a run.

    [bold]Example[/bold]

      ttc doctor --policy http://gpu1:8000 --prm http://gpu2:8001
    """
    from ttc_client.cli.doctor import examine_servers

    if not examine_servers(_settings(settings, config).config, json=json):
        raise typer.Exit(EXIT_FAILED)


@search_options
def config(
    settings: dict[str, Any],
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Show the effective settings, and where each comes from.

    Flags come first, then environment variables such as TTC_STRATEGY, then the TOML file, then
    the defaults. API keys are read from TTC_POLICY_API_KEY and TTC_PRM_API_KEY.
    """
    from ttc_client.cli.config import show_settings

    show_settings(_settings(settings, config), json=json)


def up(
    policy_port: Annotated[
        int, typer.Option(help="Port of the policy; 0 takes a free one.")
    ] = 8000,
    prm_port: Annotated[int, typer.Option(help="Port of the PRM; 0 takes a free one.")] = 8001,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Run the demo servers in the foreground, until Ctrl-C.

    They speak vLLM's protocol, so that anything that works against them works against vLLM.
    """
    from ttc_client.cli.up import run_servers

    run_servers(policy_port, prm_port)


def _pairs(texts: list[str] | None) -> dict[str, str] | None:
    """Read name=value pairs; None where there are none."""
    if wrong := [text for text in texts or () if "=" not in text]:
        raise ConfigError(f"column is {wrong[0]!r}: write it as FIELD=COLUMN")
    return dict(text.split("=", 1) for text in texts) if texts else None


def _settings(flags: dict[str, Any], file: Path | None) -> Settings:
    return load_settings(flags, os.environ, file)


def _problem(argument: str | None, file: Path | None) -> str:
    """Return the problem from whichever source was named, else from stdin."""
    if argument is not None and file is not None:
        raise ConfigError("a problem and --file are given: leave one of them out")
    if argument is not None:
        return argument
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"file is {file}: {error}") from error
    if sys.stdin.isatty():
        raise ConfigError("no problem: give it as an argument, with --file, or on stdin")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"stdin is no UTF-8 text: {error}") from error
