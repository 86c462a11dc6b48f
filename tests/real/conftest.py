"""The servers and proxies that `scripts/install_servers` installs, before or beside our own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

import ttc_servers
from ttc_client.clients.session import Session

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
MODELS = Path(ttc_servers.__file__).parent / "models"
TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give whichever test comes first the time to start its servers."""
    for item in items:
        item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@dataclass(frozen=True)
class Models:
    """The URLs of a policy and a PRM server with the demo models."""

    policy: str
    prm: str


@pytest.fixture(scope="session")
def environment() -> Path:
    """Find the virtual environment that holds the servers; they are installed where it is not."""
    made = subprocess.run([ROOT / "scripts" / "install_servers"], capture_output=True, text=True)
    if made.returncode:
        pytest.fail(made.stderr, pytrace=False)
    return Path(made.stdout.strip())


@pytest.fixture(scope="session")
def embedded() -> Iterator[Models]:
    """Run the embedded servers in a process of their own."""
    options = ["--port", "0", "--until-stdin-closes"]
    serve = [sys.executable, "-m", "ttc_servers.embedded", *options, "--model"]
    with running([*serve, "policy"]) as policy, running([*serve, "prm"]) as prm:
        yield Models(policy, prm)


@pytest.fixture(scope="session")
def llama_cpp(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """Run llama.cpp's server on both demo models, exported to GGUF."""
    folder, python = tmp_path_factory.mktemp("gguf"), environment / "bin" / "python"
    files = [folder / f"{role}.gguf" for role in ("policy", "prm")]
    for file in files:
        export(environment, MODELS / file.stem, file).check_returncode()
    serve = [[python, HERE / "llama_server.py", file] for file in files]
    with running(serve[0]) as policy, running(serve[1]) as prm:
        yield Models(policy, prm)


def export(environment: Path, folder: Path, file: Path) -> "subprocess.CompletedProcess[str]":
    """Export a model to GGUF, in the environment that holds the writer of such files."""
    paths = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'servers'}"}
    command = [environment / "bin" / "python", "-m", "ttc_servers.gguf_export", folder, file]
    return subprocess.run(command, capture_output=True, text=True, env=paths)


@contextmanager
def running(command: Sequence[str | Path]) -> Generator[str]:
    """Run a server that prints its URL and ends with its standard input."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        yield process.stdout.readline().strip()
        process.stdin.close()


@contextmanager
def serving(command: Sequence[str | Path], port: int, log: Path, **options: str) -> Generator[None]:
    """Run a server until the block ends, which begins once its port is open."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **options}
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=said, stderr=said, env=environment) as process,
    ):
        try:
            while not _is_open(port):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest_asyncio.fixture
async def session() -> AsyncIterator[Session]:
    """Open the connections of a test."""
    async with Session() as opened:
        yield opened
