"""Key answers in a small pool of worker processes, so that SymPy never runs on the event loop.

A worker that takes too long or too much memory is killed and replaced; its answer is then compared
as a string. Knows nothing of LaTeX.
"""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

from ttc_client.answers.canonical import inline_key, string_key
from ttc_client.errors import TTCError
from ttc_client.together import together

_START = (
    "import sys; sys.path[:] = sys.argv[3:]; from ttc_client.answers.worker import main; main()"
)
_LONGEST_BLOCK_S = 0.005
_MAX_CACHED_KEYS = 10_000


class Key(NamedTuple):
    """The key of an answer, and whether it is only a string since there was no time for more."""

    text: str
    timed_out: bool = False


class AnswerPool:
    """Keys answers: equal keys mean equivalent answers.

    `workers` processes, each with `memory_limit_mb` MiB of address space and `time_limit_s`
    seconds for one answer. `total_deadline_s` seconds after a call, whatever it has not keyed yet
    is compared as a string. Serves any number of concurrent calls.
    """

    def __init__(
        self,
        workers: int = 2,
        time_limit_s: float = 5.0,
        memory_limit_mb: int = 512,
        total_deadline_s: float = 30.0,
    ) -> None:
        if workers < 1 or min(time_limit_s, memory_limit_mb, total_deadline_s) <= 0:
            raise ValueError("an answer pool needs a worker and limits above 0")
        self._total_deadline_s = total_deadline_s
        self._workers = [_Worker(time_limit_s, memory_limit_mb) for _ in range(workers)]
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._cache: OrderedDict[str, str] = OrderedDict()

    async def __aenter__(self) -> Self:
        """Start the workers; they load SymPy in the background."""
        try:
            for worker in self._workers:
                await worker.start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def canonical_keys(self, answers: Sequence[str]) -> list[str]:
        """Return one key per answer, in the order given; "" for an empty one.

        Raises `TTCError` where the workers cannot start.
        """
        return [key.text for key in await self.keys(answers)]

    async def keys(self, answers: Sequence[str]) -> list[Key]:
        """Return the same, with a mark on each answer that there was no time to key."""
        deadline = asyncio.get_running_loop().time() + self._total_deadline_s
        keys: dict[str, Key] = {}
        hard: list[str] = []
        paused = time.monotonic()
        for answer in dict.fromkeys(answers):
            if time.monotonic() - paused > _LONGEST_BLOCK_S:
                await asyncio.sleep(0)
                paused = time.monotonic()
            key = self._cached(answer) or inline_key(answer)
            if key is None:
                hard.append(answer)
            else:
                keys[answer] = Key(key)
        computed = await together(self._compute(answer, deadline) for answer in hard)
        keys.update(zip(hard, computed, strict=True))
        return [keys[answer] for answer in answers]

    async def equal(self, pred: str, gold: str) -> bool:
        """Whether an answer is equivalent to the gold answer; an empty one never is."""
        pred_key, gold_key = await self.canonical_keys([pred, gold])
        return pred_key == gold_key != ""

    async def _stop(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            await worker.stop()

    def _cached(self, answer: str) -> str | None:
        if answer in self._cache:
            self._cache.move_to_end(answer)
        return self._cache.get(answer)

    async def _compute(self, answer: str, deadline: float) -> Key:
        try:
            async with asyncio.timeout_at(deadline):
                worker = await self._idle.get()
                try:
                    key = await worker.key(answer)
                finally:
                    self._idle.put_nowait(worker)
        except TimeoutError:
            key = None
        if key is None:
            return Key(string_key(answer), timed_out=True)
        self._cache[answer] = key
        if len(self._cache) > _MAX_CACHED_KEYS:
            self._cache.popitem(last=False)
        return Key(key)


class _Worker:
    """One process that keys one answer at a time, started again after it was killed."""

    def __init__(self, time_limit_s: float, memory_limit_mb: int) -> None:
        self._time_limit_s = time_limit_s
        self._memory_limit_mb = memory_limit_mb
        self._process: Process | None = None
        self._is_running = False
        self._is_loaded = False

    async def start(self) -> Process:
        await self.stop()
        # In a session of its own, Ctrl-C does not reach it. It imports from where this process
        # does, which `python -m` would not.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _START),
            *(str(2 * self._time_limit_s), str(self._memory_limit_mb), *sys.path),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
        )
        self._is_running, self._is_loaded = True, False
        return self._process

    async def key(self, answer: str) -> str | None:
        """Return the key of an answer, or None where the process took too long or died."""
        process = self._process
        if process is None or process.returncode is not None or not self._is_running:
            process = await self.start()
        await self._load(process)
        line = b""
        try:
            async with asyncio.timeout(self._time_limit_s):
                line = await _exchange(process, json.dumps(answer))
        except (TimeoutError, ConnectionError):
            pass
        finally:
            if not line:
                self.kill()
        if not line:
            await self.start()
            return None
        return json.loads(line)

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
            await self._process.communicate()
            self._process = None

    async def _load(self, process: Process) -> None:
        if not self._is_loaded:
            problem = await _exchange(process)
            if problem != b"null\n":
                self.kill()
                raise TTCError(f"an answer worker did not start: {problem.decode() or 'it died'}")
            self._is_loaded = True


async def _exchange(process: Process, line: str = "") -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line.encode() + b"\n")
        await process.stdin.drain()
    return await process.stdout.readline()


def group_answers(answers: Sequence[str]) -> list[int]:
    """Return equal numbers for equivalent answers, numbered from 0 by first appearance.

    A convenience for scripts: it blocks, for a second or more where SymPy is needed. In
    asynchronous code use `AnswerPool`.
    """
    keys = [inline_key(answer) for answer in answers]
    if None in keys:
        # In a thread of its own, since this one may be running an event loop.
        with ThreadPoolExecutor(max_workers=1) as executor:
            keys = executor.submit(asyncio.run, _keys(answers)).result()
    numbers: dict[str | None, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


async def _keys(answers: Sequence[str]) -> list[str]:
    async with AnswerPool() as pool:
        return await pool.canonical_keys(answers)
