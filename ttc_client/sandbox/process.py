"""Run one guest in a jail under limits, and end it with all that it started.

What it writes is read under a limit: at the limit it is killed, so that our own memory stays flat.
"""

import asyncio
import itertools
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from ttc_client.errors import TTCError
from ttc_client.sandbox.guest import HEADER_BYTES, READY
from ttc_client.sandbox.jail import Jail
from ttc_client.together import gone, stopped

Ending = Literal["exit", "time", "memory", "output"]

_MIB = 1 << 20
_WATCH_EVERY_S = 0.05
_START_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 16
_numbers: Final[Iterator[int]] = itertools.count()


class SandboxError(TTCError):
    """The sandbox or the tests failed, not the program: neither right nor wrong."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds of the clock and of a process's CPU, MiB of memory of all its processes together,
    their number, the descriptors of each, and the bytes that are read of it."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_mb: int = 1024
    processes: int = 32
    files: int = 64
    output_bytes: int = 4 * _MIB
    file_mb: int = 32

    def of_process(self, jail: Jail) -> dict[str, int]:
        """Return the limits that the kernel holds each process to."""
        limits = {
            "RLIMIT_CPU": self.cpu_s,
            "RLIMIT_AS": self.memory_mb * _MIB,
            "RLIMIT_NOFILE": self.files,
            "RLIMIT_FSIZE": self.file_mb * _MIB,
            "RLIMIT_CORE": 0,
        }
        # Elsewhere it would count all processes of the user, or those of other containers.
        return limits | ({"RLIMIT_NPROC": self.processes} if jail.kind == "bubblewrap" else {})


@lru_cache(maxsize=1)
def _guest_source() -> str:
    return Path(__file__).with_name("guest.py").read_text(encoding="utf-8")


class Guest:
    """A process in a jail. Its `ending` says why it is over, None while it may be running."""

    def __init__(self, process: Process, limits: Limits) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._limits = process, limits
        self._stdin, self._stdout = process.stdin, process.stdout
        self._num_read = 0
        self.ending: Ending | None = None

    async def ready(self, order: dict[str, Any], given: bytes = b"") -> None:
        """Give it its order and input, and wait until it is ready; raises SandboxError."""
        data = json.dumps(order).encode()
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                self._stdin.write(b"%0*d" % (HEADER_BYTES, len(data)) + data + given)
                said = await self._stdout.read(1)
        except (TimeoutError, OSError):
            said = b""
        if said != READY:
            raise SandboxError("the sandbox did not start a program: is the machine overloaded?")

    async def output(self) -> bytes:
        """Return all that it writes until it ends, or until it has written too much."""
        self._stdin.close()
        parts: list[bytes] = []
        while part := await self._stdout.read(_CHUNK_BYTES):
            parts.append(part)
            if self._has_said_too_much(len(part)):
                break
        return b"".join(parts)

    async def ask(self, message: Any) -> dict[str, Any] | None:
        """Send a message and return the reply, None where none comes that can be read."""
        with suppress(OSError):
            self._stdin.write(json.dumps(message).encode() + b"\n")
            await self._stdin.drain()
        return await self.line()

    async def line(self) -> dict[str, Any] | None:
        """Return the next line, None where the process is over or says something else."""
        try:
            line = await self._stdout.readline()
            if not line.endswith(b"\n") or self._has_said_too_much(len(line)):
                return None
            said = json.loads(line)
        except (ValueError, RecursionError, OSError):  # also a line that is too long
            return None
        return said if isinstance(said, dict) else None  # pyright: ignore[reportUnknownVariableType]

    async def exit_code(self) -> int:
        """Wait for the end and return its code, negative for a signal."""
        return await self._process.wait()

    def end(self, ending: Ending) -> None:
        """Kill the whole group."""
        self.ending = self.ending or ending
        _kill(self._process)

    async def watch(self) -> None:
        """Kill the group once all its processes together use too much memory."""
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            if _resident_bytes(self._process.pid) > self._limits.memory_mb * _MIB:
                self.end("memory")
                return

    def _has_said_too_much(self, count: int) -> bool:
        self._num_read += count
        if self._num_read <= self._limits.output_bytes:
            return False
        self.end("output")
        return True


@asynccontextmanager
async def guest(jail: Jail, limits: Limits) -> AsyncGenerator[Guest]:
    """Start a guest; on leaving, it and all that it started are killed and gone.

    Raises SandboxError where no process can be started.
    """
    name = f"ttc-{os.getpid()}-{next(_numbers)}"
    arguments = ["-I", "-S", "-c", _guest_source()]
    command = jail.command(name, arguments, limits.memory_mb, limits.processes)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
            limit=limits.output_bytes,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
    except OSError as error:
        raise SandboxError(f"the sandbox cannot start a process: {error}") from error
    inside = Guest(process, limits)
    watching = asyncio.create_task(inside.watch())
    try:
        yield inside
    finally:
        await stopped([watching])
        _kill(process)
        if ending := jail.ending(name):
            ender = await asyncio.create_subprocess_exec(*ending, stdout=DEVNULL, stderr=DEVNULL)
            await ender.wait()
        await gone(process)


def _kill(process: Process) -> None:
    """Kill a process and its group; in a jail, the kernel then ends all that runs inside."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _resident_bytes(root: int) -> int:
    """Return the memory that a process and all below it hold, 0 where the system does not say."""
    pages, waiting, seen = 0, [root], set[int]()
    while waiting:
        pid = waiting.pop()
        if pid in seen:
            continue
        seen.add(pid)
        with suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, children.read_text().split())
    return pages * os.sysconf("SC_PAGE_SIZE")
