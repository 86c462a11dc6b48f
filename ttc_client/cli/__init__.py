"""The command line: `ttc solve`, `ttc bench`, `ttc report` and others. A few lines per command.

The only place that starts an event loop, prints errors and sets exit codes: 0 ok, 1 a search
failed, 2 bad usage, 130 interrupted.
"""

import io
import os
import sys

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

GC_THRESHOLD = 50_000
"""For `gc.set_threshold`. A search keeps all that it samples: at the interpreter's own 700, looking
through it for garbage takes a fifth of the CPU, and more with more problems open."""


class PrintingError(Exception):
    """What was found could not be printed; `said` is what is said of it instead."""

    def __init__(self, error: OSError, said: str = "") -> None:
        super().__init__(error.strerror or str(error))
        self.is_pipe = isinstance(error, BrokenPipeError)
        self.said = said


def main() -> None:
    """Run the command line and exit with its code, also if Ctrl-C comes while it is loaded."""
    _open_streams()
    try:
        from ttc_client.cli.app import run

        run()
    except KeyboardInterrupt:
        print("ttc: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _open_streams() -> None:
    """Give a process without stdin, stdout or stderr one of each, so that no file takes its number.

    Nothing can be read from stdin then, and writing to stdout fails as it should: an answer that
    nobody sees is not a success.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            is_sink = name == "stderr"
            os.open(os.devnull, os.O_WRONLY if is_sink else os.O_RDONLY)  # the lowest that is free
        if getattr(sys, name) is None:
            stream = open(number, "r" if name == "stdin" else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows what it can
