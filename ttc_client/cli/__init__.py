"""The command line: `ttc solve`, `ttc bench`, `ttc report` and others. A few lines per command.

The only place that starts an event loop, prints errors and sets exit codes: 0 ok, 1 a search
failed, 2 bad usage, 130 interrupted.
"""

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

GC_THRESHOLD = 50_000
"""For `gc.set_threshold`. A search keeps all that it samples: at the interpreter's own 700, looking
through it for garbage takes a fifth of the CPU, and more with more problems open."""
