"""A process of its own: its exit code, its sudden death, and signals."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, time
from ttc_client.cli.apart import go_on_apart
from ttc_client.errors import TTCError
try:
    go_on_apart("go on with --resume")
except TTCError as error:
    print(f"said: {error}", flush=True)
    sys.exit(1)
print("apart", os.getpid(), flush=True)
"""


def start(rest: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT + rest]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("code", [0, 2, 130])
def test_the_exit_code_is_that_of_the_process_apart(code):
    with start(f"sys.exit({code})") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")
    assert out.split()[0] == "apart"
    assert int(out.split()[1]) != process.pid


@pytest.mark.parametrize("rest", ["os._exit(1)", "os.abort()", "os.kill(os.getpid(), 9)"])
def test_a_sudden_death_is_an_error_that_says_how_to_go_on(rest):
    with start(rest) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out.splitlines()[1:] == ["said: go on with --resume"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on(number):
    handled = (
        f"signal.signal({number.value}, lambda *_: sys.exit(130))\nprint('ready', flush=True)\n"
    )
    with start(handled + "while True: time.sleep(60)") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[1] == "ready\n"
        process.send_signal(number)
        assert process.wait(60) == 130


def test_it_ends_with_the_process_that_it_came_from():
    rest = "signal.signal(15, lambda *_: (print('ended', flush=True), os._exit(0)))\n"
    with start(rest + "print('ready', flush=True)\nwhile True: time.sleep(60)") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        process.kill()
        assert process.stdout.readline() == "ended\n"
