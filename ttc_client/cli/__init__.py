"""The command line: `ttc solve`, `ttc bench`, `ttc report` and others. A few lines per command.

The only place that starts an event loop, prints errors and sets exit codes: 0 ok, 1 a search
failed, 2 bad usage, 130 interrupted.
"""

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
