"""The demo servers, run by `ttc up` once for all tests that search against them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

# A shell that runs the tests in the background has Ctrl-C ignored by them and all their children.
signal.signal(signal.SIGINT, signal.default_int_handler)


class DemoServers(NamedTuple):
    """The URLs of a policy server and a PRM server."""

    policy: str
    prm: str


@pytest.fixture(scope="session")
def demo_servers() -> Iterator[DemoServers]:
    """Run the demo servers until the last test is done."""
    command = "from ttc_client.cli import main; main()"
    arguments = ("up", "--policy-port", "0", "--prm-port", "0")
    with subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True
    ) as up:
        assert up.stdout
        try:
            yield DemoServers(*(up.stdout.readline().split()[-1] for _ in range(2)))
        finally:
            up.terminate()
