"""The two ports of a search: a policy that samples steps and a PRM that scores them.

A port is anything that can be awaited with a request: an HTTP client, a wrapper around another
port, or a plain function in a test.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ttc_client.types import Step, Trajectory, Usage

_CHARACTERS_PER_TOKEN = 3
_TOKENS_PER_STEP = 100


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Ask the policy for `n` continuations of a trajectory.

    Each ends after the first of the `stop` strings, which it keeps, at the policy's own end, or
    after `max_tokens`. Continuation i is sampled with `seed + i`; None leaves it to the server.
    `subtree` numbers the group of siblings that the trajectory descends from: it shares a prefix.
    """

    trajectory: Trajectory
    n: int
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...]
    seed: int | None
    subtree: int = 0

    @property
    def problem(self) -> str:
        """The problem that this is a part of."""
        return self.trajectory.problem

    @property
    def num_sequences(self) -> int:
        """How many sequences the server works on for this request."""
        return self.n

    @property
    def num_tokens(self) -> int:
        """How many tokens the server holds for this request, roughly."""
        trajectory = self.trajectory
        prompt = len(trajectory.prompt_ids) or len(trajectory.prompt) // _CHARACTERS_PER_TOKEN
        return prompt + trajectory.num_tokens + self.n * _TOKENS_PER_STEP

    @property
    def session(self) -> str:
        """What shares a long prefix with this request."""
        return f"{self.problem}\n{self.subtree}"


@dataclass(frozen=True, slots=True)
class Samples:
    """The `n` continuations, in order.

    `prompt_ids` are the token ids that the server continued from, empty in text mode.
    """

    steps: tuple[Step, ...]
    prompt_ids: tuple[int, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Ask the PRM for a score of each step of each item, all of which continue `prefix`.

    Steps are given without their delimiter. Those of the prefix are scored already. An item may
    hold no step. `path` is the place in the search tree that this belongs to, `subtree` the
    group of siblings that it descends from.
    """

    problem: str
    prefix: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]
    path: tuple[int, ...] = ()
    subtree: int = 0

    @property
    def num_sequences(self) -> int:
        """How many sequences the server works on for this request."""
        return sum(len(item) for item in self.items)

    @property
    def num_tokens(self) -> int:
        """How many tokens the server holds for this request, roughly."""
        texts = (self.problem, *self.prefix, *(step for item in self.items for step in item))
        return sum(map(len, texts)) // _CHARACTERS_PER_TOKEN

    @property
    def session(self) -> str:
        """What shares a long prefix with this request."""
        return f"{self.problem}\n{self.subtree}"


@dataclass(frozen=True, slots=True)
class Scores:
    """One probability in [0, 1] per step of each item, in order."""

    scores: tuple[tuple[float, ...], ...]
    usage: Usage


Policy = Callable[[SampleRequest], Awaitable[Samples]]
PRM = Callable[[ScoreRequest], Awaitable[Scores]]
