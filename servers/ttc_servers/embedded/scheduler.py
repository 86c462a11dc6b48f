"""Who is computed in the next step, and in which cache blocks.

First come, first served. Where blocks run out, the newest sequence gives its own back and starts
again later from what the cache still holds of it. Knows nothing of numbers.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ttc_servers.embedded.cache import ROOT, BlockCache
from ttc_servers.embedded.jobs import Job, Sequence

MAX_SEQUENCES = 128
"""Sequences in one step."""

MAX_PROMPT_ROWS = 256
"""Prompt tokens in one step; more would hold up those who wait for their next token."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tokens `start:stop` of a sequence, to be computed in one step."""

    sequence: Sequence
    start: int
    stop: int


class Scheduler:
    """Keeps the queue, the running sequences and their blocks.

    `copy_block(source, target, num_tokens)` is called to copy the beginning of a block.
    """

    def __init__(self, cache: BlockCache, copy_block: Callable[[int, int, int], None]) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._cache = cache
        self._copy_block = copy_block

    def add(self, job: Job) -> None:
        """Queue a job, by its trunk."""
        self.waiting.append(job.trunk)

    def schedule(self) -> list[Chunk]:
        """Return what to compute next, each sequence holding the blocks that it needs for it."""
        self._drop_cancelled()
        self._admit()
        chunks: list[Chunk] = []
        budget = MAX_PROMPT_ROWS
        index = 0
        while index < len(self.running):
            sequence = self.running[index]
            index += 1
            rows = len(sequence.tokens) - sequence.computed
            if rows > 1:
                rows = min(rows, budget)
                budget -= rows
            stop = sequence.computed + rows
            if rows and self._reserve(sequence, stop):
                chunks.append(Chunk(sequence, sequence.computed, stop))
        return chunks

    def advance(self, chunk: Chunk) -> None:
        """Take note that a chunk is computed; a complete trunk makes way for its sequences."""
        sequence, size = chunk.sequence, self._cache.block_size
        sequence.computed = chunk.stop
        for index in range(chunk.start // size, chunk.stop // size):
            tokens = sequence.tokens[index * size : (index + 1) * size]
            parent = sequence.blocks[index - 1] if index else ROOT
            sequence.blocks[index] = self._cache.register(sequence.blocks[index], parent, tokens)
        if sequence is sequence.job.trunk and sequence.computed == len(sequence.tokens):
            self.remove(sequence)
            self._queue_sequences(sequence.job)

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out; what is computed of it stays in the cache."""
        self.running.remove(sequence)
        self._release(sequence)

    def _drop_cancelled(self) -> None:
        for sequence in [s for s in self.running if s.job.cancelled]:
            self.remove(sequence)
        if any(s.job.cancelled for s in self.waiting):
            self.waiting = deque(s for s in self.waiting if not s.job.cancelled)

    def _admit(self) -> None:
        """Let sequences in, one long prompt at a time: the next may well begin with the same."""
        size = self._cache.block_size
        while self.waiting and len(self.running) < MAX_SEQUENCES:
            if any(len(s.tokens) - s.computed >= size for s in self.running):
                return
            needed = len(self.waiting[0].tokens) // size + 2
            if self.running and self._cache.num_available < needed:
                return
            sequence = self.waiting.popleft()
            self._load(sequence)
            job = sequence.job
            if sequence is job.trunk:
                again = (job.num_prompts - 1) * len(sequence.tokens)
                job.num_cached_tokens = sequence.computed + again
                if sequence.computed == len(sequence.tokens):
                    self._release(sequence)
                    self._queue_sequences(job)
                    continue
            self.running.append(sequence)

    def _queue_sequences(self, job: Job) -> None:
        self.waiting.extendleft(reversed(job.sequences))

    def _load(self, sequence: Sequence) -> None:
        """Give a sequence what the cache holds of it."""
        cache = self._cache
        sequence.blocks, (source, count) = cache.match(sequence.tokens[: sequence.num_cacheable])
        sequence.computed = len(sequence.blocks) * cache.block_size
        if count and cache.num_available > 1:
            cache.retain(source)
            block = cache.allocate()
            self._copy_block(source, block, count)
            cache.release([source])
            sequence.blocks.append(block)
            sequence.computed += count

    def _reserve(self, sequence: Sequence, stop: int) -> bool:
        """Give a sequence blocks up to `stop`, at the cost of newer ones or else of itself."""
        needed = -(-stop // self._cache.block_size) - len(sequence.blocks)
        while self._cache.num_available < needed:
            newest = self.running.pop()
            self._release(newest)
            self.waiting.appendleft(newest)
            if newest is sequence:
                return False
        sequence.blocks += [self._cache.allocate() for _ in range(needed)]
        return True

    def _release(self, sequence: Sequence) -> None:
        blocks, size = sequence.blocks, self._cache.block_size
        rest = sequence.computed % size
        if rest:
            parent = blocks[-2] if len(blocks) > 1 else ROOT
            tokens = sequence.tokens[sequence.computed - rest : sequence.computed]
            self._cache.register(blocks[-1], parent, tokens)
        self._cache.release(blocks)
        sequence.blocks, sequence.computed = [], 0
