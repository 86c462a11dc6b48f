"""Go on in a process of its own, so that its sudden death is an error like any other.

Some libraries end the process that they are in: Ray does, a minute after its head node is gone.
"""

import atexit
import os
import signal
import threading

from ttc_client.errors import TTCError


def go_on_apart(said: str) -> None:
    """Return in a new process, and end this one as that ends.

    Signals are handed on, and the new process ends with this one. Raises TTCError, in this process,
    with what is to be `said` if the new one dies without ending in order.
    """
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    signals = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # until it is clear who handles them
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.close(from_child)
        os.close(to_child)
        os.setpgid(0, 0)  # Ctrl-C comes to the parent, which hands it on, once
        atexit.register(os.write, to_parent, b".")
        threading.Thread(target=_end_with, args=(from_parent,), daemon=True).start()
        return
    os.close(to_parent)
    os.close(from_parent)
    for number in signals:
        signal.signal(number, lambda number, _: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    _, status = os.waitpid(child, 0)
    if os.read(from_child, 1):
        os._exit(os.waitstatus_to_exitcode(status))
    raise TTCError(said)


def _end_with(parent: int) -> None:
    """End when the other end of a pipe is closed, by whatever."""
    os.read(parent, 1)
    os.kill(os.getpid(), signal.SIGTERM)
