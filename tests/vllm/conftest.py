"""A policy and a PRM server on vLLM's CPU build, started for each module of tests here."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_contract import Servers

LAUNCH = Path(__file__).parents[2] / "scripts" / "launch_cpu"
TIMEOUT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give whichever test of a module comes first the time to start the servers."""
    for item in items:
        item.add_marker(pytest.mark.timeout(TIMEOUT_S + 60))


@pytest.fixture(scope="module")
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Start both with the module's `LAUNCH_OPTIONS`."""
    logs = tmp_path_factory.mktemp("vllm")
    command = [LAUNCH, "--logs", logs, "--timeout", str(TIMEOUT_S), *request.module.LAUNCH_OPTIONS]
    said = logs / "launch_cpu.log"
    with (
        said.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as launch,
    ):
        assert launch.stdout
        urls = [launch.stdout.readline().strip() for _ in range(2)]
        if not all(urls):
            pytest.fail(said.read_text(), pytrace=False)
        yield Servers(*urls)
        launch.terminate()
