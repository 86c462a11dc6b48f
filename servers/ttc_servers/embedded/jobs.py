"""What the engine works on: sequences, and the jobs that they belong to.

A job's sequences share a beginning, its trunk, which is computed once before them.
"""

import os
from collections.abc import Callable
from collections.abc import Sequence as Ids
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ttc_servers.embedded.sampling import SamplingParams
from ttc_servers.embedded.weights import Array

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class StopRules:
    """When a generated sequence ends, besides `max_tokens`, and whether a stop string is kept."""

    strings: tuple[str, ...] = ()
    token_ids: frozenset[int] = frozenset()
    eos_ids: frozenset[int] = frozenset()
    keep_string: bool = False


class Sequence:
    """Tokens to compute, and how far that has come: `tokens[:computed]` lie in `blocks`."""

    def __init__(self, job: "Job", tokens: list[int]) -> None:
        self.job = job
        self.tokens = tokens
        self.computed = 0
        self.blocks: list[int] = []

    @property
    def num_cacheable(self) -> int:
        """How many of its tokens need no computing if the cache has them."""
        return len(self.tokens)

    def outputs(self, start: int, stop: int) -> Ids[int]:
        """Return the positions in `start:stop` whose logits are wanted."""
        return ()


class Scored(Sequence):
    """A sequence read at some positions: `logps` gets the labels' log-probabilities at each."""

    def __init__(self, job: "Job", tokens: list[int], positions: list[int], labels: list[int]):
        super().__init__(job, tokens)
        self.positions = positions
        self.labels = labels
        self.logps: list[list[float]] = []

    @property
    def num_cacheable(self) -> int:
        """All before the first position still to be read."""
        return self.positions[len(self.logps)] if self.unfinished else len(self.tokens)

    @property
    def unfinished(self) -> bool:
        """Whether positions are left to read."""
        return len(self.logps) < len(self.positions)

    def outputs(self, start: int, stop: int) -> Ids[int]:
        """Return the positions in `start:stop` to read."""
        return [p for p in self.positions[len(self.logps) :] if start <= p < stop]

    def read(self, logits: Array) -> None:
        """Take the logits [vocab] at the next position."""
        self.logps.append(log_softmax(logits)[self.labels].tolist())


class Generated(Sequence):
    """A sequence that grows by sampling until a stop rule or `max_tokens` ends it."""

    def __init__(
        self,
        job: "Job",
        prompt: list[int],
        params: SamplingParams,
        seed: int | None,
        max_tokens: int,
        stop: StopRules,
        keep_logprobs: bool = False,
    ) -> None:
        super().__init__(job, prompt.copy())
        self.num_prompt = len(prompt)
        self.params = params
        self.seed = int.from_bytes(os.urandom(8)) if seed is None else seed
        self.max_tokens = max_tokens
        self.stop = stop
        self.keep_logprobs = keep_logprobs
        self.logprobs: list[Array] = []
        self.finish_reason: FinishReason | None = None
        self.stop_reason: str | int | None = None
        self._bytes = bytearray()
        self._stops = [text.encode() for text in stop.strings]

    @property
    def num_cacheable(self) -> int:
        """All but the last token, whose logits are wanted."""
        return len(self.tokens) - 1

    @property
    def num_generated(self) -> int:
        """Tokens sampled so far."""
        return len(self.tokens) - self.num_prompt

    @property
    def token_ids(self) -> list[int]:
        """The sampled tokens, the one that ended the sequence included."""
        return self.tokens[self.num_prompt :]

    @property
    def text(self) -> str:
        """The sampled text, cut at the stop string, without special tokens."""
        return self._bytes.decode(errors="replace")

    def outputs(self, start: int, stop: int) -> Ids[int]:
        """Return the last position once everything before is computed."""
        return (stop - 1,) if stop == len(self.tokens) else ()

    def append(self, token: int, text: bytes) -> None:
        """Take a sampled token and the bytes it stands for, and see whether it is the last."""
        self.tokens.append(token)
        if token in self.stop.eos_ids:
            self.finish_reason = "stop"
            return
        old = len(self._bytes)
        self._bytes += text
        if token in self.stop.token_ids:
            self.finish_reason, self.stop_reason = "stop", token
            return
        if self.num_generated == self.max_tokens:
            self.finish_reason = "length"
        for stop, string in zip(self._stops, self.stop.strings, strict=True):
            at = self._bytes.find(stop, max(0, old + 1 - len(stop)))
            if at >= 0:
                del self._bytes[at + len(stop) * self.stop.keep_string :]
                self.finish_reason, self.stop_reason = "stop", string
                return


@dataclass(eq=False)
class Job:
    """One request to the engine; `done` is called, in its thread, when all sequences have ended."""

    sequences: list[Generated] | list[Scored] = field(default_factory=list)
    trunk: Sequence | None = None
    num_unfinished: int = 0
    num_prompts: int = 1
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    cancelled: bool = False
    done: Callable[[], None] = lambda: None

    def set_trunk(self) -> None:
        """Find what all sequences begin with and none is read at."""
        first = self.sequences[0].tokens
        length = min(sequence.num_cacheable for sequence in self.sequences)
        for other in self.sequences[1:]:
            length = _common_length(first, other.tokens, length)
        self.trunk = Sequence(self, first[:length])
        self.num_unfinished = len(self.sequences)


def log_softmax(logits: Array) -> Array:
    """Return log-probabilities for logits [vocab]."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def _common_length(a: list[int], b: list[int], limit: int) -> int:
    if a[:limit] == b[:limit]:
        return limit
    return next(i for i in range(limit) if a[i] != b[i])
