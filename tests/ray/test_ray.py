"""`ttc bench --ray` on a real cluster of several processes, which are killed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.chance_servers import chance_servers, write
from tests.fakes.scripted_server import completions

TTC = [sys.executable, "-c", "from ttc_client.cli import main; main()"]
NUM_PROBLEMS = 8
GRID = ["-s", "greedy,dvts", "-n", "4", "--max-steps", "3", "--no-check", "--concurrency", "4"]
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}


class Cluster:
    """A head node with four cores; its processes are found by the directory that they work in."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="ray")  # a short one, for the names of sockets
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        port = self.address.partition(":")[2]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += [f"--port={port}", "--num-cpus=4", f"--temp-dir={self.directory}"]
        command += ["--include-dashboard=false"]
        self._process = subprocess.Popen(
            command, env=os.environ | QUIET, start_new_session=True, stdout=subprocess.DEVNULL
        )
        while not self.pids("raylet/raylet"):
            time.sleep(0.2)
            assert self._process.poll() is None

    def pids(self, name: str) -> list[int]:
        """Return the cluster's own processes that run a program."""
        marks = (name.encode(), self.directory.encode())
        return [pid for pid, line in _processes() if all(mark in line for mark in marks)]

    def workers(self) -> list[int]:
        """Return the processes of actors that work for a bench."""
        (raylet,) = self.pids("raylet/raylet")
        actors = [pid for pid, line in _processes() if line.startswith(b"ray::Worker")]
        return [pid for pid in actors if f"PPid:\t{raylet}\n" in _status(pid)]

    def stop(self) -> None:
        """End all of it."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(60)
        for pid in (*self.pids("raylet/raylet"), *self.pids("gcs_server")):
            os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, bytes]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_bytes()
        except OSError:
            continue


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    yield found
    found.stop()


@pytest.fixture
def problems(tmp_path) -> str:
    path = tmp_path / "problems.jsonl"
    rows = [{"problem": f"p{i}", "answer": str(i % 3)} for i in range(NUM_PROBLEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


async def start(*arguments: str | Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *TTC, "bench", *map(str, arguments), stdout=pipe, stderr=pipe, env=os.environ | QUIET
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    _, err = await asyncio.wait_for(process.communicate(), 400)
    return process.returncode, err.decode()


class Held:
    """A policy that answers so many requests, then sets an event, and waits to be let go on."""

    def __init__(self, after: int) -> None:
        self.left, self.reached, self.free = after, asyncio.Event(), asyncio.Event()

    async def __call__(self, payload):
        self.left -= 1
        if self.left < 0:
            self.reached.set()
            await self.free.wait()
        return completions(write)(payload)


async def reached(held: Held, process: asyncio.subprocess.Process) -> None:
    """Wait until a process has asked so much; fails if it ends before."""
    waiting = asyncio.create_task(held.reached.wait())
    end = asyncio.create_task(process.wait())
    await asyncio.wait([waiting, end], return_when=asyncio.FIRST_COMPLETED, timeout=400)
    assert waiting.done(), (await ended(process))[1]
    end.cancel()


@pytest.mark.timeout(900)
async def test_workers_that_are_killed_cost_no_row_and_a_lost_head_ends_the_driver(
    tmp_path, problems, cluster
):
    held = Held(after=NUM_PROBLEMS)
    async with chance_servers(completions=held) as server:
        command = [problems, *GRID, "--policy", server.url, "--prm", server.url]
        on_ray = [*command, "--ray", cluster.address, "--workers", "2", "--out", tmp_path / "ray"]
        process = await start(*on_ray)
        await reached(held, process)
        first, *_ = cluster.workers()
        os.kill(first, signal.SIGKILL)  # in the middle of its leases
        held.free.set()
        code, err = await ended(process)
        assert code == 0, err
        assert "searches go back" in err
        code, err = await ended(await start(*command, "--out", tmp_path / "one"))
        assert code == 0, err
        for name in ("config.json", "problems.jsonl", "results.jsonl"):
            one, ray = (tmp_path / run / name for run in ("one", "ray"))
            assert one.read_bytes() == ray.read_bytes()

        held.left, held.reached, held.free = NUM_PROBLEMS, asyncio.Event(), asyncio.Event()
        lost = [*command, "--ray", cluster.address, "--workers", "2", "--out", tmp_path / "lost"]
        process = await start(*lost)
        await reached(held, process)
        for pid in (*cluster.pids("gcs_server"), *cluster.pids("raylet/raylet")):
            os.kill(pid, signal.SIGKILL)
        code, err = await ended(process)
        assert code == 1
        last = err.splitlines()[-1]
        assert last.startswith("ttc: ")
        assert "--resume" in last
        held.free.set()
        code, err = await ended(await start(*command, "--out", tmp_path / "lost", "--resume"))
        assert code == 0, err
        one, ray = (tmp_path / run / "results.jsonl" for run in ("one", "lost"))
        assert one.read_bytes() == ray.read_bytes()
