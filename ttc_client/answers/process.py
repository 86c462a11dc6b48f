"""A small pool of worker processes that answer one question at a time, each within limits.

A worker that takes too long or too much memory is killed and replaced, and what it was asked has
no reply; one that others killed is asked again. Knows nothing of what is asked.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from ttc_client.errors import TTCError
from ttc_client.together import gone

Task = Literal["keys", "math-verify"]
"""What a worker does with a question: `worker` has one function for each."""

_START = (
    "import sys; sys.path[:] = sys.argv[4:]; from ttc_client.answers.worker import main; main()"
)
_MAX_LOADS = 4
_MAX_DEATHS = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one question, MiB of address space, and seconds for all that is asked at once."""

    time_s: float = 5.0
    memory_mb: int = 512
    total_s: float = 30.0

    def __post_init__(self) -> None:
        if min(self.time_s, self.memory_mb, self.total_s) <= 0:
            raise ValueError("an answer pool needs a worker and limits above 0")


class WorkerPool:
    """Some workers for one task; serves any number of concurrent calls."""

    def __init__(self, task: Task, workers: int, limits: Limits) -> None:
        if workers < 1:
            raise ValueError("an answer pool needs a worker and limits above 0")
        self._workers = [_Worker(task, limits) for _ in range(workers)]
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def start(self) -> None:
        """Start the workers; they load in the background."""
        try:
            for worker in self._workers:
                await worker.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Kill the workers and wait until they are gone."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            await worker.stop()

    async def ask(self, question: Any, deadline: float) -> Any | None:
        """Return the reply, or None where there is none by the loop's time `deadline`.

        Raises `TTCError` where a worker says why it cannot start.
        """
        try:
            async with asyncio.timeout_at(deadline):
                worker = await self._idle.get()
                try:
                    return await worker.ask(question)
                finally:
                    self._idle.put_nowait(worker)
        except TimeoutError:
            return None


class _Worker:
    """One process that answers one question at a time, started again after it was killed."""

    def __init__(self, task: Task, limits: Limits) -> None:
        self._task = task
        self._limits = limits
        self._process: Process | None = None
        self._is_running = False
        self._is_loaded = False

    async def start(self) -> Process:
        await self.stop()
        # In a session of its own, Ctrl-C does not reach it. It imports from where this process
        # does, which `python -m` would not.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _START, self._task),
            *(str(2 * self._limits.time_s), str(self._limits.memory_mb), *sys.path),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
        )
        self._is_running, self._is_loaded = True, False
        return self._process

    async def ask(self, question: Any) -> Any | None:
        """Return the reply, or None where the process took too long, or died again and again."""
        for _ in range(_MAX_DEATHS):
            process = await self._loaded()
            if process is None:
                return None
            line, is_late = b"", False
            try:
                async with asyncio.timeout(self._limits.time_s):
                    line = await _exchange(process, json.dumps(question))
            except TimeoutError:
                is_late = True
            except ConnectionError:
                pass
            finally:
                if not line.endswith(b"\n"):
                    self.kill()
            if line.endswith(b"\n"):
                return json.loads(line)
            if is_late:
                break
        with suppress(OSError):
            await self.start()
        return None

    def kill(self) -> None:
        """Kill the process, which for now remains to be waited for."""
        self._is_running = False
        if self._process and self._process.returncode is None:
            # Its own `kill` looks whether it is dead, and then takes the status asyncio waits for.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Kill the process and wait until it and its pipes are gone."""
        self.kill()
        if self._process:
            await gone(self._process)
            self._process = None

    async def _loaded(self) -> Process | None:
        """Return a process that is ready, or None where each dies while it loads, or none starts.

        Out of memory, a machine kills what loads; a paid-for search is worth another try.
        """
        for _ in range(_MAX_LOADS):
            process = self._process
            try:
                if process is None or process.returncode is not None or not self._is_running:
                    process = await self.start()
            except OSError:
                continue
            if self._is_loaded:
                return process
            said = await _exchange(process)
            if said == b"null\n":
                self._is_loaded = True
                return process
            self.kill()
            if said.endswith(b"\n"):
                raise TTCError(f"an answer worker did not start: {said.decode()}")
        return None


async def _exchange(process: Process, line: str = "") -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line.encode() + b"\n")
        await process.stdin.drain()
    return await process.stdout.readline()
