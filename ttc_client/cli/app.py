"""The command line as a whole, and how it ends: exit codes, one-line errors, Ctrl-C."""

import gc
import os
import sys

import typer

from ttc_client.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, GC_THRESHOLD, offline, online
from ttc_client.errors import ConfigError, TTCError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Search for answers with more compute at test time: best-of-N, beam search, DVTS "
    "and the best of them for each problem, against a policy and a process reward model behind "
    "HTTP servers.",
)
optimal = typer.Typer(
    no_args_is_help=True,
    help="Compute-optimal scaling: choose the strategy by a problem's difficulty.",
)
optimal.command(no_args_is_help=True)(offline.fit)

app.command()(online.solve)
app.command(no_args_is_help=True)(online.bench)
app.command(no_args_is_help=True)(offline.report)
app.command(no_args_is_help=True)(offline.export)
app.command("import", no_args_is_help=True)(offline.import_)
app.add_typer(optimal, name="optimal")
app.command()(online.doctor)
app.command()(online.config)
app.command()(online.up)


def run() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GC_THRESHOLD)
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        if code == EXIT_INTERRUPTED:  # Ctrl-C, which Typer turns into its exit code
            _fail("interrupted", code, debug)
    except (ConfigError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        code = _fail(message, EXIT_USAGE, debug)
    except TTCError as error:
        code = _fail(str(error), EXIT_FAILED, debug)
    except OSError as error:
        code = EXIT_FAILED
        if not isinstance(error, BrokenPipeError):
            _fail(str(error), code, debug)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it is flushed once more
    except Exception as error:
        message = f"{type(error).__name__}: {error} (a bug; --debug shows where)"
        code = _fail(message, EXIT_FAILED, debug)
    sys.exit(code)


def _fail(message: str, code: int, debug: bool) -> int:
    from ttc_client.report.terminal import clean

    if debug:
        import traceback

        print(clean(traceback.format_exc()), file=sys.stderr)
    print(f"ttc: {clean(message)}", file=sys.stderr)  # a server's words may be in it
    return code
