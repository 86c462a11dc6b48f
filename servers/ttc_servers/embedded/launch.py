"""Start the embedded servers as child processes and stop them with the caller.

A child serves one model on one port, prints its URL once it listens, and ends when its standard
input closes: with the caller, however that ends.
"""

import asyncio
import ipaddress
import os
import platform
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"

_STOP_TIMEOUT_S = 5.0
_BYTES_KEPT = 4096


@dataclass(frozen=True, slots=True)
class _Child:
    """A server's process; its standard error is read all the time: a full pipe would stop it."""

    process: Process
    said: bytearray
    reading: asyncio.Task[None]


@asynccontextmanager
async def embedded_servers(
    *,
    policy: str | Path = "policy",
    prm: str | Path = "prm",
    policy_port: int = 0,
    prm_port: int = 0,
) -> AsyncIterator[tuple[str, str]]:
    """Run a policy server and a PRM server; give their URLs once both answer.

    Models are names of packaged ones or directories in the Hugging Face format. Port 0 is any
    free one. Raises RuntimeError with a server's own words if it does not start.
    """
    children: list[_Child] = []
    try:
        for model, port in ((policy, policy_port), (prm, prm_port)):
            children.append(await _start(model, port))
        policy_url, prm_url = await asyncio.gather(*map(_url, children))
        yield policy_url, prm_url
    finally:
        await asyncio.gather(*map(_stop, children))


def blas_settings() -> dict[str, str]:
    """Return the environment under which numpy's products are fast and reproducible here.

    One thread: a second one only spins on cores that the other server needs. OpenBLAS's Haswell
    kernels round a row of a product by its place among the others; those for AVX-512, and the
    older ones for Sandy Bridge at half their speed, do not, so that a batch never changes a
    result.
    """
    settings = {"OPENBLAS_NUM_THREADS": "1"}
    if platform.machine() in ("x86_64", "AMD64"):
        settings["OPENBLAS_CORETYPE"] = "SkylakeX" if _has_avx512() else "Sandybridge"
    return settings


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a server on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _has_avx512() -> bool:
    try:
        features = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return False
    return features >= {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


def _environment() -> dict[str, str]:
    """Return this process's environment, without a key that is another server's."""
    return {name: value for name, value in os.environ.items() if name != "EMBEDDED_API_KEY"}


async def _start(model: str | Path, port: int) -> _Child:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ttc_servers.embedded", "--until-stdin-closes"),
        *("--model", str(model), "--host", HOST, "--port", str(port)),
        env={**_environment(), **blas_settings()},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    said = bytearray()
    return _Child(process, said, asyncio.create_task(_read(process, said)))


async def _read(process: Process, said: bytearray) -> None:
    """Read standard error to its end, and keep the last of it."""
    assert process.stderr
    while chunk := await process.stderr.read(1 << 16):
        said += chunk
        del said[:-_BYTES_KEPT]


async def _url(child: _Child) -> str:
    assert child.process.stdout
    url = (await child.process.stdout.readline()).decode().strip()
    if not url:
        await child.reading
        lines = child.said.decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
        raise RuntimeError(f"an embedded server did not start: {words}")
    return url


async def _stop(child: _Child) -> None:
    assert child.process.stdin
    child.process.stdin.close()
    try:
        await asyncio.wait_for(child.process.wait(), _STOP_TIMEOUT_S)
    except TimeoutError:
        child.process.kill()
        await child.process.wait()
    await child.reading
