"""The command line as a whole, and how it ends: exit codes, one-line errors, Ctrl-C."""

import gc
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Collection
from typing import Annotated, TextIO

import typer

from ttc_client.cli import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    GC_THRESHOLD,
    PrintingError,
)
from ttc_client.cli.bench import bench
from ttc_client.cli.config import config
from ttc_client.cli.demo import demo
from ttc_client.cli.doctor import doctor
from ttc_client.cli.export import export
from ttc_client.cli.guide import guide
from ttc_client.cli.imports import import_
from ttc_client.cli.label import label
from ttc_client.cli.lists import datasets, recipes, tasks
from ttc_client.cli.merge import merge
from ttc_client.cli.optimal import fit
from ttc_client.cli.options import POLICY, VERIFIER, search_options
from ttc_client.cli.prm import evaluate as prm_eval
from ttc_client.cli.report import report
from ttc_client.cli.serve import serve
from ttc_client.cli.solve import solve
from ttc_client.cli.up import up
from ttc_client.errors import ConfigError, TTCError
from ttc_client.settings.config import SETTINGS

_MORE = "-h shows help, --help-all every setting; --debug, with any command, shows stack traces."


def make_app(*, all_shown: bool = False) -> typer.Typer:
    """Return the command line; `all_shown` is for the long help."""
    names = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings=names,
        help="Search for answers with more compute at test time: best-of-N, beam search, DVTS "
        "and the best of them for each problem, against a policy and a process reward model "
        "(PRM) behind HTTP servers. Begin with [bold]ttc demo[/bold].",
        epilog=_MORE,
    )
    app.callback()(_options)

    def add(command: Callable[..., None], to: typer.Typer = app, name: str | None = None) -> None:
        to.command(name, help=_joined(command), no_args_is_help=command in _WITH_ARGUMENTS)(command)

    def add_searching(
        command: Callable[..., None],
        *without: str,
        to: typer.Typer = app,
        name: str | None = None,
        only: Collection[str] = tuple(SETTINGS),
    ) -> None:
        with_flags = search_options(command, all_shown=all_shown, without=without, only=only)
        to.command(name, help=_joined(command), epilog=None if all_shown else _MORE)(with_flags)

    add(demo)
    add_searching(solve)
    add_searching(serve, "strategy", "n", "vote", "compat", "system_prompt", "grader")
    add_searching(bench, "strategy", "n", "seed")
    add(report)
    add(merge)
    add(export)
    add(import_, name="import")
    optimal = typer.Typer(
        no_args_is_help=True,
        help="Compute-optimal scaling: choose the strategy by a problem's difficulty.",
    )
    add(fit, to=optimal)
    app.add_typer(optimal, name="optimal")
    prm = typer.Typer(no_args_is_help=True, help="Verifiers: how good they are.")
    add_searching(prm_eval, to=prm, name="eval", only=VERIFIER)
    app.add_typer(prm, name="prm")
    add_searching(label, only=POLICY)
    add_searching(doctor)
    add_searching(config)
    for command in (up, recipes, datasets, tasks, guide):
        add(command)
    return app


_WITH_ARGUMENTS = (report, merge, export, import_, fit)
"""Commands that mean nothing alone, and then show their help."""


def _joined(command: Callable[..., None]) -> str:
    """Return a command's docstring with each paragraph on one line, to be wrapped as it fits."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(p if p.startswith(" ") else " ".join(p.split("\n")) for p in paragraphs)


def _version(wanted: bool) -> None:
    if wanted:
        import ttc_client

        print(f"ttc-client {ttc_client.__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GC_THRESHOLD)
    warnings.showwarning = _warn
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.simplefilter("default")  # PYTHONWARNINGS=error is meant for tests
    debug, all_shown = "--debug" in sys.argv, "--help-all" in sys.argv
    try:
        given = [_text(argument) for argument in sys.argv[1:]]
        arguments = ["--help" if a == "--help-all" else a for a in given if a != "--debug"]
        code = make_app(all_shown=all_shown)(arguments, prog_name="ttc", standalone_mode=False)
        sys.stdout.flush()
        if code == EXIT_INTERRUPTED:  # Ctrl-C, which Typer turns into its exit code
            _fail("interrupted", code, debug)
    except (ConfigError, typer.TyperException) as error:
        message = str(error)
        if isinstance(error, typer.TyperException):
            message = error.format_message().replace("Value error, ", "", 1)  # Pydantic's words
        code = _fail(message, EXIT_USAGE, debug)
    except TTCError as error:
        code = _fail(str(error), EXIT_FAILED, debug)
    except PrintingError as error:
        code = _fail("" if error.is_pipe else f"cannot print: {error}; {error.said}", 1, debug)
    except OSError as error:
        message = "" if isinstance(error, BrokenPipeError) else str(error)
        code = _fail(message, EXIT_FAILED, debug)
    except MemoryError:
        code = _fail("there is not enough memory for this", EXIT_FAILED, debug)
    except Exception as error:
        message = f"{type(error).__name__}: {error} (a bug; --debug shows where)"
        code = _fail(message, EXIT_FAILED, debug)
    _let_go(sys.stdout)
    _let_go(sys.stderr)
    sys.exit(code)


def _text(argument: str) -> str:
    """Return an argument as UTF-8, whatever the locale is; raises ConfigError for other bytes."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        shown = argument.encode(errors="replace").decode()
        raise ConfigError(f"the argument {shown!r} holds bytes that are not UTF-8 text") from None


def _let_go(stream: TextIO) -> None:
    """Keep a stream that cannot be written from being flushed once more, with a traceback."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    from ttc_client.report.terminal import clean

    print(f"ttc: {clean(str(message))}", file=sys.stderr)


def _fail(message: str, code: int, debug: bool) -> int:
    from ttc_client.report.terminal import clean

    if debug:
        import traceback

        print(clean(traceback.format_exc()), file=sys.stderr)
    if message:
        print(f"ttc: {clean(message)}", file=sys.stderr)  # a server's words may be in it
    return code
