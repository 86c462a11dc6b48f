"""Key answers in a process of its own, one JSON line in and one out.

Writes a first line when SymPy is loaded: null, or what prevented it. Ends when its input does,
and by itself when one answer takes far too long, so that it never outlives its parent.
"""

import json
import os
import resource
import signal
import sys
from contextlib import suppress

_MIB = 1 << 20
_RECURSION_LIMIT = 10_000
_WARM_UP = (
    r"\log_2 8",
    r"\frac{1}{2}\sin 2x-\sqrt{3}\cos^2 y",
    r"2(x+1)(x-2)/3",
    r"\frac{10!}{3!\cdot7!}",
    r"|x^{-2}+e^{-x}|",
)
"""The parser is slow on what it has not seen: it builds its tables as it goes."""


def main() -> None:
    """Serve until the input ends; arguments: seconds per answer, address space in MiB."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time_limit_s, memory_limit_mb = float(sys.argv[1]), int(sys.argv[2])
    # Nothing that a library prints may come between the lines of the protocol.
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    try:
        _limit_memory(memory_limit_mb * _MIB)
        from ttc_client.answers.canonical import canonical_key, string_key
        from ttc_client.answers.symbolic import expression_key

        for expression in _WARM_UP:
            expression_key(expression, "value")
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), file=output)
        return
    print("null", file=output)
    for line in sys.stdin:
        answer = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, time_limit_s)  # SIGALRM ends the process
        try:
            key = canonical_key(answer, expression_key)
        except (MemoryError, RecursionError):
            key = string_key(answer)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(key), file=output)


def _limit_memory(num_bytes: int) -> None:
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))
