"""The commands, and how they end: exit codes, one-line errors, Ctrl-C."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ttc_client.cli.options import search_options
from ttc_client.config import Settings, load_settings
from ttc_client.errors import ConfigError, TTCError

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Search for answers with more compute at test time: best-of-N, beam search and DVTS, "
    "against a policy and a process reward model behind HTTP servers.",
)

Problem = Annotated[
    str | None, typer.Argument(help="The problem, in words and LaTeX; stdin if left out.")
]
ProblemFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="Read the problem from a file.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with settings. [default: ttc.toml]")
]
OutputDirectory = Annotated[
    Path | None,
    typer.Option("--out", help="Write the result and every server's answer to this directory."),
]


@app.command(no_args_is_help=False)
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

      ttc solve -s dvts -n 64 "What is $17 \\\\cdot 24 - 9$?"

      ttc solve --policy http://gpu1:8000 --prm http://gpu2:8001 -n 64 --tree < problem.txt
    """
    from ttc_client.cli.solve import solve_problem

    text = _problem(problem, file)
    search = _settings(settings, config).config
    solve_problem(text, search, out=out, tree=tree, json=json, quiet=quiet)


@app.command()
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


@app.command()
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
    return sys.stdin.read()


def main() -> None:
    """Run the command line and exit with its code."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # Ctrl-C, which Typer turns into its exit code
            _fail("interrupted", code, debug)
    except (ConfigError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        code = _fail(message, EXIT_USAGE, debug)
    except TTCError as error:
        code = _fail(str(error), EXIT_FAILED, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_FAILED
    except Exception as error:
        message = f"{type(error).__name__}: {error} (a bug; --debug shows where)"
        code = _fail(message, EXIT_FAILED, debug)
    sys.exit(code)


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    print(f"ttc: {message}", file=sys.stderr)
    return code
