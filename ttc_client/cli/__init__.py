"""The command line: `ttc solve`, `ttc bench`, `ttc report` and others. A few lines per command.

The only place that starts an event loop, prints errors and sets exit codes: 0 ok, 1 a search
failed, 2 bad usage, 130 interrupted.
"""

import sys

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

GC_THRESHOLD = 50_000
"""For `gc.set_threshold`. A search keeps all that it samples: at the interpreter's own 700, looking
through it for garbage takes a fifth of the CPU, and more with more problems open."""


def main() -> None:
    """Run the command line and exit with its code, also if Ctrl-C comes while it is loaded."""
    try:
        from ttc_client.cli.app import run

        run()
    except KeyboardInterrupt:
        print("ttc: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
