"""`ttc solve`: one problem, from the command line to the screen."""

import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ttc_client.cli import PrintingError
from ttc_client.cli.options import ConfigFile, Json, Quiet, out_path
from ttc_client.errors import ConfigError
from ttc_client.files import read_small

if TYPE_CHECKING:
    from ttc_client.runtime.store import RunDirectory
    from ttc_client.search.params import SearchParams
    from ttc_client.settings.config import Settings
    from ttc_client.types import SearchResult

EXAMPLE = "Let $f(x) = 6x + 17$. Find $f(4)$."
"""Greedy decoding and a majority vote of the demo models get this wrong, the search does not."""


def solve(
    settings: dict[str, Any],
    problem: Annotated[
        str | None, typer.Argument(help="The problem, in words and LaTeX; stdin if left out.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the problem from a file.")
    ] = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=out_path,
            metavar="PATH",
            help="Keep the result and every server's answer in this directory.",
        ),
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the search tree.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Solve one problem.

    Without --policy and --prm, small demo servers are started on this machine: a tiny Llama and
    a tiny PRM that know a little arithmetic and algebra.

    [bold]Examples[/bold]

      ttc solve -n 64 'Let $f(x) = 6x + 17$. Find $f(4)$.'

      ttc solve --policy http://gpu1:8000 --prm http://gpu2:8001 -f problem.txt
    """
    from rich.console import Console

    from ttc_client.report.result import print_result
    from ttc_client.report.terminal import print_json
    from ttc_client.runtime.store import RunDirectory
    from ttc_client.settings.config import load_settings

    text = _problem(problem, file)
    search = load_settings(settings, os.environ, config)
    params = search.params
    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(out)) if out else None
        result = asyncio.run(_solve(text, search, params, directory, quiet=quiet))
        unshown = None
        try:
            if json:
                print_json(result)
            else:
                print_result(result, Console(), tree=tree)
            sys.stdout.flush()
        except OSError as error:
            unshown = error
        if directory:
            directory.finish(result)
        if unshown:
            raise PrintingError(unshown, f"the answer is {result.answer}") from unshown


async def _solve(
    problem: str,
    settings: "Settings",
    params: "SearchParams",
    directory: "RunDirectory | None",
    *,
    quiet: bool,
) -> "SearchResult":
    from rich.console import Console

    from ttc_client.middleware.meter import Meter
    from ttc_client.report.progress import SearchView, show
    from ttc_client.runtime.client import Client
    from ttc_client.types import Problem

    meter = Meter(on_exchange=directory.record) if directory else Meter()
    question = Problem(question=problem)
    async with Client(settings.servers_for([params]), settings.task) as client:
        ballot = client.ballot(question, params)
        view = SearchView(params, meter, ballot)
        async with show(view, Console(stderr=True, quiet=quiet)):
            return await client.solve(question, params, meter=meter, watch=view, ballot=ballot)


def _problem(argument: str | None, file: Path | None) -> str:
    """Return the problem from whichever source was named, else from stdin."""
    if argument is not None and file is not None:
        raise ConfigError("a problem and --file are given: leave one of them out")
    if argument is not None:
        return argument
    if file is not None:
        try:
            return read_small(file).decode()
        except (OSError, ValueError) as error:
            raise ConfigError(f"file is {file}: {error}") from error
    if sys.stdin.isatty():
        raise ConfigError("no problem: give it as an argument, with --file, or on stdin")
    try:
        return read_small(sys.stdin.buffer).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"stdin is not UTF-8 text: {error}") from error
    except ValueError as error:
        raise ConfigError(f"stdin holds no problem: {error}") from error
