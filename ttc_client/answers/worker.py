"""Answer questions about answers in a process of its own, one JSON line in and one out.

Writes a first line when its library is loaded: null, or what prevented it. Ends when its input
does, and by itself when one question takes far too long, so that it never outlives its parent.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

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
    """Serve until the input ends; arguments: task, seconds per question, address space in MiB."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task, time_limit_s, memory_limit_mb = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    # Nothing that a library prints may come between the lines of the protocol.
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    try:
        _limit_memory(memory_limit_mb * _MIB)
        reply = {"keys": _key, "math-verify": _verified}[task]()
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), file=output)
        return
    print("null", file=output)
    for line in sys.stdin:
        question = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, time_limit_s)  # SIGALRM ends the process
        answer = reply(question)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(answer), file=output)


def _key() -> Callable[[Any], Any]:
    """Load SymPy, and return what keys an answer."""
    from ttc_client.answers.canonical import canonical_key
    from ttc_client.answers.keys import string_key
    from ttc_client.answers.symbolic import expression_key

    for expression in _WARM_UP:
        expression_key(expression, "value")

    def reply(answer: str) -> str:
        try:
            return canonical_key(answer, expression_key)
        except (ArithmeticError, LookupError, MemoryError, RecursionError, ValueError):
            return string_key(answer)

    return reply


def _verified() -> Callable[[Any], Any]:
    """Load math-verify, and return what compares an answer with the gold answer."""
    from ttc_client.answers.math_verify import load

    return load()


def _limit_memory(num_bytes: int) -> None:
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))
