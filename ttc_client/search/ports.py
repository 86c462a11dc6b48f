"""The ports of a search: a policy that samples steps and a verifier that scores them.

A port is anything that can be awaited with a request: an HTTP client, a wrapper around another
port, or a plain function in a notebook or a test.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ttc_client.types import Message, Problem, Step, Trajectory, Usage

_CHARACTERS_PER_TOKEN = 3
_TOKENS_PER_STEP = 100


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Ask the policy for `n` continuations of a trajectory.

    Each ends after the first of the `stop` strings, which it keeps, at the policy's own end, or
    after `max_tokens`. Continuation i is sampled with `seed + i`; None leaves it to the server.
    Requests of one `session` share a long prefix. `top_logprobs` asks for the log-probability of
    each token, and for its confidence from so many alternatives (0: none); None asks for neither.
    What `max_tokens` cut of one that `is_piece` is to be continued. `top_k` -1, `min_p` 0 and
    `presence_penalty` 0 change nothing.
    """

    trajectory: Trajectory
    n: int
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...]
    seed: int | None
    session: str = ""
    top_logprobs: int | None = None
    is_piece: bool = False
    top_k: int = -1
    min_p: float = 0.0
    presence_penalty: float = 0.0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt that is answered, as messages."""
        return self.trajectory.prompt.messages

    @property
    def text(self) -> str:
        """The prompt as rendered text, and what has been written after it."""
        return self.trajectory.prompt.text + self.trajectory.text

    @property
    def ends(self) -> tuple[str, ...]:
        """Strings that end a completion, and are no part of it."""
        return self.trajectory.prompt.ends

    @property
    def num_sequences(self) -> int:
        """How many sequences the server works on for this request."""
        return self.n

    @property
    def num_tokens(self) -> int:
        """How many tokens the server holds for this request, roughly."""
        prompt = self.trajectory.prompt
        length = len(prompt.ids) or len(prompt.text) // _CHARACTERS_PER_TOKEN
        return length + self.trajectory.num_tokens + self.n * _TOKENS_PER_STEP


@dataclass(frozen=True, slots=True)
class Samples:
    """The `n` continuations, in order; None stands for one that failed.

    `prompt_ids` are the token ids that the server continued from, empty in text mode.
    """

    steps: tuple[Step | None, ...]
    prompt_ids: tuple[int, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Ask the verifier for a score of each step of each item, all of which continue `prefix`.

    Steps are given as text, without their delimiter. Those of the prefix are scored already. An
    item may hold no step. `sampled` has what the policy wrote for each item, prefix included, as
    it was sampled, with its tokens. `path` is the place in the search tree that this belongs to;
    requests of one `session` share a long prefix.
    """

    problem: Problem
    prefix: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]
    sampled: tuple[tuple[Step, ...], ...] = ()
    path: tuple[int, ...] = ()
    session: str = ""

    @property
    def question(self) -> str:
        """What the steps are to answer."""
        return self.problem.question

    @property
    def num_sequences(self) -> int:
        """How many sequences the server works on for this request."""
        return sum(map(len, self.items))

    @property
    def num_tokens(self) -> int:
        """How many tokens the server holds for this request, roughly."""
        texts = (self.question, *self.prefix, *(step for item in self.items for step in item))
        return sum(map(len, texts)) // _CHARACTERS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Scores:
    """One probability in [0, 1] per step of each item, in order; None where it is missing.

    A missing score speaks neither for nor against a step.
    """

    scores: tuple[tuple[float | None, ...], ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Ask a judge which of two texts answers a problem better, in this order."""

    problem: Problem
    first: str
    second: str
    session: str = ""

    @property
    def num_sequences(self) -> int:
        """How many sequences the server works on for this request."""
        return 1

    @property
    def num_tokens(self) -> int:
        """How many tokens the server holds for this request, roughly."""
        texts = (self.problem.question, self.first, self.second)
        return sum(map(len, texts)) // _CHARACTERS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Comparison:
    """How likely the first text is the better one, None where no verdict could be read."""

    score: float | None
    usage: Usage = field(default_factory=Usage)


Policy = Callable[[SampleRequest], Awaitable[Samples]]
Write = Callable[[str], Awaitable[Step]]
"""Returns a text as a step, for the policy to go on from as if it had written it."""
Verifier = Callable[[ScoreRequest], Awaitable[Scores]]
Judge = Callable[[CompareRequest], Awaitable[Comparison]]
