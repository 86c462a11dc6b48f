"""Batches scoring requests across clients and hands the batches to the replicas.

A sequence waits a few milliseconds for others to join it, then runs with those that have a
similar number of new tokens. Whatever nobody awaits any more is dropped from the queue. Knows
nothing of HTTP, and of models only that a replica scores a list of sequences.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ttc_client.clients.wire import ScoreCall, ScoreReply, ScoreUsage
from ttc_servers.prm.adapters import Adapter
from ttc_servers.prm.encoded import Encoded
from ttc_servers.prm.replica import Scored

WINDOW_S = 0.003
"""How long the first sequence of an idle replica waits for others."""


MAX_STEPS = 1 << 16
"""Of one call, those of its prefix once: each may be a sequence of its own."""

_MOST_CHARS_PER_TOKEN = 256
"""More than any token of any tokenizer stands for: a longer text is not even tokenized."""


class CallTooLargeError(Exception):
    """A call that the server never takes, however idle it is."""


class QueueFullError(Exception):
    """More sequences are here than the server takes; come back after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"the server is full, come back in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ReplicaError(Exception):
    """The model failed on a batch."""


class Scorer(Protocol):
    """What the engine asks of a replica. Only `score` blocks."""

    def num_new(self, sequence: Encoded) -> int: ...
    def score(self, sequences: Sequence[Encoded]) -> list[Scored]: ...


@dataclass(slots=True)
class Counts:
    """What was done since the start; tokens are those of scored sequences."""

    sequences: int = 0
    batches: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    busy_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiting:
    sequence: Encoded
    num_new: int
    result: asyncio.Future[Scored]


@dataclass(slots=True, eq=False)
class _Lane:
    """A replica with its queue, oldest first, and the one thread that runs it."""

    replica: Scorer
    queue: list[_Waiting] = field(default_factory=list)
    batch: Sequence[_Waiting] = ()
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def cost(self, sequence: Encoded) -> int:
        """Return how many tokens would be computed here before the sequence is done."""
        ahead = sum(one.num_new for one in (*self.queue, *self.batch))
        return ahead + self.replica.num_new(sequence)

    def take(self, max_tokens: int) -> bool:
        """Take the next batch, if any: the oldest sequence and others of its length bucket.

        A bucket holds numbers of new tokens within a factor of two. The padded batch, cached
        prefixes included, has at most `max_tokens` tokens, unless one sequence alone has more.
        """
        self.queue = [one for one in self.queue if not one.result.done()]
        batch: list[_Waiting] = []
        new = past = 0
        for one in self.queue:
            if batch and one.num_new.bit_length() != batch[0].num_new.bit_length():
                continue
            new_if = max(new, one.num_new)
            past_if = max(past, len(one.sequence.ids) - one.num_new)
            if batch and (len(batch) + 1) * (new_if + past_if) > max_tokens:
                break
            batch.append(one)
            new, past = new_if, past_if
        taken = set(batch)
        self.queue = [one for one in self.queue if one not in taken]
        self.batch = batch
        return bool(batch)


class Engine:
    """Scores calls on one or more replicas.

    `max_tokens` bounds a sequence, `max_batch_tokens` a padded batch, and `max_queue` the
    sequences that wait or run. `healthy` is false from a failed batch to the next good one.
    """

    def __init__(
        self,
        adapter: Adapter,
        replicas: Sequence[Scorer],
        *,
        max_tokens: int,
        max_batch_tokens: int,
        max_queue: int,
    ) -> None:
        self.max_tokens = max_tokens
        self.healthy = True
        self.num_open = 0
        self.counts = Counts()
        self.replicas = replicas
        self._adapter = adapter
        self._max_batch_tokens = max_batch_tokens
        self._max_queue = max_queue
        self._lanes = [_Lane(replica) for replica in replicas]
        self._encoder = ThreadPoolExecutor(1)  # a tokenizer is not for several threads

    @property
    def num_waiting(self) -> int:
        """How many sequences are in the queues."""
        return sum(len(lane.queue) for lane in self._lanes)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve `score` as long as the context is open."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run(lane)) for lane in self._lanes]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
        for thread in [self._encoder, *(lane.thread for lane in self._lanes)]:
            thread.shutdown()

    async def score(self, call: ScoreCall) -> ScoreReply:
        """Score every step of every item of a call.

        Raises ValueError where a solution is longer than the model's context, QueueFullError
        where too many are here already, CallTooLargeError where it asks for too much at once,
        ReplicaError where the model fails.
        """
        size = max(1, len(call.items))
        self._check_size(call)
        if self.num_open and self.num_open + size > self._max_queue:
            raise QueueFullError(self._retry_after_s())
        self.num_open += size
        try:
            loop = asyncio.get_running_loop()
            items = await loop.run_in_executor(self._encoder, self._encode, call)
            flat = [sequence for item in items for sequence in item]
            scored = iter(await self._score(flat) if flat else ())
        finally:
            self.num_open -= size
        parts = [[next(scored) for _ in item] for item in items]
        usage = ScoreUsage(
            prompt_tokens=sum(len(sequence.ids) for sequence in flat),
            cached_tokens=sum(part.cached_tokens for item in parts for part in item),
        )
        scores = [[score for part in item for score in part.scores] for item in parts]
        return ScoreReply(scores, usage)

    def _check_size(self, call: ScoreCall) -> None:
        if len(call.items) > self._max_queue:
            raise CallTooLargeError(
                f"the call has {len(call.items)} items, and the server takes {self._max_queue} at "
                "once: send fewer, or start it with a larger --max-queue"
            )
        num_steps = len(call.prefix) + sum(map(len, call.items))
        if num_steps > MAX_STEPS:
            raise CallTooLargeError(f"the call has {num_steps} steps: send {MAX_STEPS} at most")
        shared = len(call.problem) + sum(map(len, call.prefix))
        longest = shared + max((sum(map(len, item)) for item in call.items), default=0)
        if longest > self.max_tokens * _MOST_CHARS_PER_TOKEN:
            raise ValueError(
                f"a solution has {longest} characters, which the model's maximum context length "
                f"of {self.max_tokens} tokens cannot hold"
            )

    def _encode(self, call: ScoreCall) -> list[list[Encoded]]:
        items = [
            self._adapter.encode(call.problem, call.prefix, item) if item else []
            for item in call.items
        ]
        longest = max((len(one.ids) for item in items for one in item), default=0)
        if longest > self.max_tokens:
            raise ValueError(
                f"a solution has {longest} tokens and the model's maximum context length "
                f"holds {self.max_tokens}"
            )
        return items

    async def _score(self, sequences: Sequence[Encoded]) -> list[Scored]:
        """Queue a call's sequences where they are done soonest; siblings stay together."""
        lane = min(self._lanes, key=lambda lane: lane.cost(sequences[0]))
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(s, lane.replica.num_new(s), loop.create_future()) for s in sequences]
        lane.queue += waiting
        lane.arrived.set()
        try:
            return await asyncio.gather(*(one.result for one in waiting))
        finally:
            for one in waiting:  # after a failure nobody awaits the others
                one.result.cancel()

    async def _run(self, lane: _Lane) -> None:
        while True:
            await lane.arrived.wait()
            lane.arrived.clear()
            await asyncio.sleep(WINDOW_S)
            while lane.take(self._max_batch_tokens):
                await self._run_batch(lane)

    async def _run_batch(self, lane: _Lane) -> None:
        loop = asyncio.get_running_loop()
        sequences = [one.sequence for one in lane.batch]
        started = loop.time()
        try:
            scored = await loop.run_in_executor(lane.thread, lane.replica.score, sequences)
        except Exception as error:
            self.healthy = False
            failure = ReplicaError(f"the model failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._settle(lane.batch, lambda future, _: future.set_exception(failure))
            return
        self.healthy = True
        self.counts.busy_s += loop.time() - started
        self.counts.batches += 1
        self.counts.sequences += len(sequences)
        self.counts.prompt_tokens += sum(len(sequence.ids) for sequence in sequences)
        self.counts.cached_tokens += sum(one.cached_tokens for one in scored)
        self._settle(lane.batch, lambda future, i: future.set_result(scored[i]))

    @staticmethod
    def _settle(
        batch: Sequence[_Waiting], settle: Callable[[asyncio.Future[Scored], int], None]
    ) -> None:
        for i, one in enumerate(batch):
            if not one.result.done():
                settle(one.result, i)

    def _retry_after_s(self) -> int:
        """Return how long the sequences that are here will take, from the rate so far."""
        each = self.counts.busy_s / max(1, self.counts.sequences) / len(self._lanes)
        return max(1, math.ceil(each * self.num_open))
