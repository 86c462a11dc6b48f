"""Key answers in a small pool of worker processes, so that SymPy never runs on the event loop.

An answer that there is no time or memory for is compared as a string. Knows nothing of LaTeX.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

from ttc_client.answers.canonical import inline_key
from ttc_client.answers.keys import string_key
from ttc_client.answers.process import Limits, WorkerPool
from ttc_client.together import together

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
        limits = Limits(time_limit_s, memory_limit_mb, total_deadline_s)
        self._total_deadline_s = total_deadline_s
        self._workers = WorkerPool("keys", workers, limits)
        self._cache: OrderedDict[str, str] = OrderedDict()

    async def __aenter__(self) -> Self:
        """Start the workers; they load SymPy in the background."""
        await self._workers.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._workers.stop()

    async def canonical_keys(self, answers: Sequence[str]) -> list[str]:
        """Return one key per answer, in the order given; "" for an empty one.

        Raises `TTCError` where the workers say why they cannot start.
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
            key = self._cached(answer) or _inline_key(answer)
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

    def _cached(self, answer: str) -> str | None:
        if answer in self._cache:
            self._cache.move_to_end(answer)
        return self._cache.get(answer)

    async def _compute(self, answer: str, deadline: float) -> Key:
        key = await self._workers.ask(answer, deadline)
        if key is None:
            return Key(string_key(answer), timed_out=True)
        self._cache[answer] = key
        if len(self._cache) > _MAX_CACHED_KEYS:
            self._cache.popitem(last=False)
        return Key(key)


def _inline_key(answer: str) -> str | None:
    """Key without a worker; an answer that this fails on costs its vote at most, in a worker."""
    try:
        return inline_key(answer)
    except (ArithmeticError, LookupError, RecursionError, ValueError):
        return None


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
