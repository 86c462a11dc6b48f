"""Continuous batching: one thread that computes all sequences in flight, a step at a time.

A step computes the next token of every sequence that generates and a slice of the prompts, so
that a new request joins at the next token and a long prompt holds nobody up. The prefix cache is
the only way in which sequences share work: a job's trunk is computed first, and its sequences
then find it there. Knows nothing of HTTP.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence as Ids
from dataclasses import dataclass, field

import numpy as np

from ttc_servers.embedded.cache import BlockCache
from ttc_servers.embedded.jobs import FinishReason, Generated, Job, Scored, Sequence, log_softmax
from ttc_servers.embedded.llama import BLOCK_SIZE, Llama, Rows, Span
from ttc_servers.embedded.sampling import penalize, sample
from ttc_servers.embedded.scheduler import Chunk, Scheduler
from ttc_servers.embedded.weights import Array

MAX_WAITING = 4096
"""Sequences that may wait; a server refuses more."""


@dataclass(slots=True)
class Counters:
    """Totals since the start."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generation_tokens: int = 0
    finished: dict[FinishReason, int] = field(default_factory=lambda: {"stop": 0, "length": 0})


class Engine:
    """Runs jobs on a model, in a thread of its own between `start` and `stop`."""

    def __init__(self, model: Llama, token_bytes: list[bytes], num_blocks: int) -> None:
        self.counters = Counters()
        self._model = model
        self._token_bytes = token_bytes
        self._num_blocks = num_blocks
        self._cache = BlockCache(num_blocks, BLOCK_SIZE)
        self._scheduler = Scheduler(self._cache, model.copy_block)
        self._arrived: deque[Job] = deque()
        self._jobs: set[Job] = set()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the engine's thread after the step at hand."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the engine's thread runs."""
        return self._thread.is_alive()

    @property
    def num_running(self) -> int:
        """Sequences being computed."""
        return len(self._scheduler.running)

    @property
    def num_waiting(self) -> int:
        """Sequences that wait for their turn."""
        arrived = sum(len(job.sequences) for job in list(self._arrived))
        return arrived + len(self._scheduler.waiting)

    @property
    def cache_usage(self) -> float:
        """The share of the cache that running sequences hold."""
        return 1 - self._cache.num_available / self._num_blocks

    def has_room(self, num_sequences: int) -> bool:
        """Return whether that many more sequences may wait."""
        return self.num_waiting + num_sequences <= MAX_WAITING

    async def run(self, job: Job) -> None:
        """Compute a job; if the caller is cancelled, it leaves the engine before the next step.

        If the engine dies or stops before, `job.num_unfinished` says how much is missing.
        """
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[None] = loop.create_future()
        job.done = lambda: loop.call_soon_threadsafe(_finish, finished)
        job.set_trunk()
        self._jobs.add(job)
        self._arrived.append(job)
        self._wake.set()
        try:
            if not self._stopping:
                await finished
        finally:
            job.cancelled = True
            self._jobs.discard(job)
            self._wake.set()

    def run_here(self, jobs: list[Job]) -> None:
        """Compute jobs that arrive together, in the caller's thread, without `start`."""
        for job in jobs:
            job.set_trunk()
            self._scheduler.add(job)
        while chunks := self._scheduler.schedule():
            self._step(chunks)

    def _run(self) -> None:
        try:
            while not self._stopping:
                while self._arrived:
                    self._scheduler.add(self._arrived.popleft())
                if chunks := self._scheduler.schedule():
                    self._step(chunks)
                else:
                    self._wake.wait()
                    self._wake.clear()
        finally:  # nobody must wait for a thread that is gone
            self._stopping = True
            for job in list(self._jobs):
                job.done()

    def _step(self, chunks: list[Chunk]) -> None:
        chunks.sort(key=lambda chunk: chunk.sequence.blocks)  # neighbours share blocks
        wanted = [chunk.sequence.outputs(chunk.start, chunk.stop) for chunk in chunks]
        logits = self._model.forward(_rows(chunks, wanted))
        growing: list[Generated] = []
        growing_rows: list[int] = []
        row = 0
        for chunk, positions in zip(chunks, wanted, strict=True):
            self._scheduler.advance(chunk)
            sequence = chunk.sequence
            if isinstance(sequence, Scored):
                for offset in range(len(positions)):
                    sequence.read(logits[row + offset])
                if not sequence.unfinished:
                    self._end(sequence)
            elif isinstance(sequence, Generated) and positions:
                growing.append(sequence)
                growing_rows.append(row)
            row += len(positions)
        if growing:
            self._grow(growing, logits[growing_rows])

    def _grow(self, sequences: list[Generated], logits: Array) -> None:
        for sequence, row in zip(sequences, logits, strict=True):
            if sequence.keep_logprobs:
                sequence.logprobs.append(log_softmax(row))
            if sequence.params.repetition_penalty != 1:
                penalize(row, sequence.tokens, sequence.params.repetition_penalty)
        tokens = sample(
            logits,
            [sequence.params for sequence in sequences],
            [sequence.seed for sequence in sequences],
            [sequence.num_generated for sequence in sequences],
        )
        self.counters.generation_tokens += len(sequences)
        for sequence, token in zip(sequences, tokens.tolist(), strict=True):
            sequence.append(token, self._token_bytes[token])
            if sequence.finish_reason:
                self.counters.finished[sequence.finish_reason] += 1
                self._end(sequence)

    def _end(self, sequence: Sequence) -> None:
        job = sequence.job
        self._scheduler.remove(sequence)
        job.num_unfinished -= 1
        if not job.num_unfinished:
            self.counters.prompt_tokens += job.num_prompt_tokens
            self.counters.cached_tokens += job.num_cached_tokens
            job.done()


def _rows(chunks: list[Chunk], wanted: list[Ids[int]]) -> Rows:
    """Lay out the chunks' tokens as the rows of one call."""
    ids: list[int] = []
    positions: list[int] = []
    blocks: list[int] = []
    outputs: list[int] = []
    spans: list[Span] = []
    shared: list[int] = []  # the blocks of the rows before, each attended to since `starts`
    starts: list[int] = []
    for chunk, reads in zip(chunks, wanted, strict=True):
        sequence, first = chunk.sequence, len(ids)
        common = 0
        for block, other in zip(shared, sequence.blocks, strict=False):
            if block != other:
                break
            common += 1
        spans += [Span(i, shared[i], starts[i], first) for i in range(common, len(shared))]
        shared = sequence.blocks
        starts[common:] = [first] * (len(shared) - common)
        outputs += [first + position - chunk.start for position in reads]
        places = range(chunk.start, chunk.stop)
        ids += sequence.tokens[chunk.start : chunk.stop]
        positions += places
        blocks += [shared[position // BLOCK_SIZE] for position in places]
    spans += [Span(i, block, starts[i], len(ids)) for i, block in enumerate(shared)]
    return Rows(np.array(ids), np.array(positions), np.array(blocks), spans, np.array(outputs, int))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
