"""The data that flows through a search, from a problem to a typed result.

    problem → Trajectory → Steps and scores → Candidate → AnswerGroup → SearchResult

Everything is frozen. Knows nothing of servers, files or the screen.
"""

from dataclasses import dataclass, field, fields
from itertools import chain
from operator import add, attrgetter
from typing import Literal

Strategy = Literal["greedy", "majority", "best-of-n", "beam", "dvts", "compute-optimal"]
Reduction = Literal["last", "min", "prod", "mean"]
Vote = Literal["prm", "weighted", "majority"]
Compat = Literal["sal"]
"""Whose behaviour is reproduced: that of huggingface/search-and-learn."""

Finish = Literal["stop", "eos", "length"]
"""Why the policy stopped: at a step delimiter, at its end, or cut by a token limit."""

TREE_STRATEGIES: tuple[Strategy, ...] = ("beam", "dvts")
"""Those that go step by step, M ways at a time."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent, as the servers counted it. Adds up with `+`.

    A request that was closed early counts in `cancelled_requests`, and its tokens, which no
    server reports, nowhere. `retries` counts the requests sent again by what was wrong with the
    first (`ServerError.cause`).
    """

    completion_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prm_tokens: int = 0
    prm_cached_tokens: int = 0
    policy_requests: int = 0
    prm_requests: int = 0
    cancelled_requests: int = 0
    retries: dict[str, int] = field(default_factory=dict[str, int])

    def __add__(self, other: "Usage") -> "Usage":
        retries = dict(self.retries)
        for cause, count in other.retries.items():
            retries[cause] = retries.get(cause, 0) + count
        return Usage(*map(add, _counts(self), _counts(other)), retries=retries)


_counts = attrgetter(*(count.name for count in fields(Usage) if count.name != "retries"))


@dataclass(frozen=True, slots=True)
class Step:
    """One step that the policy wrote, up to and including its delimiter or its end.

    A completion sampled whole is a single `Step` with several steps in its text.
    `token_ids` is empty where the server speaks text only. `multiplicity` counts the siblings
    that were sampled alike, this one included.
    """

    text: str
    finish: Finish
    num_tokens: int
    token_ids: tuple[int, ...] = ()
    multiplicity: int = 1


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A prompt and the steps so far, with one score per step that the PRM has read.

    `prompt` is the templated text, `prompt_ids` its tokens, empty where the server speaks text
    only. `path` holds the index of each step among its siblings, so that it names the trajectory
    within a search. `readings` are the steps as the PRM reads them. `value` is what the search
    ranks by: the reduced scores, or, with lookahead, those of the rolled-out text.
    """

    problem: str
    prompt: str
    prompt_ids: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    scores: tuple[float, ...] = ()
    path: tuple[int, ...] = ()
    readings: tuple[str, ...] = ()
    value: float = 0.0

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens of the prompt and all steps, a continuation's exact input.

        Joined when they are sent: most trajectories are pruned, and need none of their own.
        """
        if not self.prompt_ids:
            return ()
        return (*self.prompt_ids, *chain.from_iterable(step.token_ids for step in self.steps))

    @property
    def text(self) -> str:
        """What the policy has written so far."""
        return "".join(step.text for step in self.steps)

    @property
    def finish(self) -> Finish:
        """Why the last step ended; "stop" while no step is written."""
        return self.steps[-1].finish if self.steps else "stop"

    @property
    def finished(self) -> bool:
        """Whether the trajectory is a completion: ended by itself or cut by length."""
        return self.finish != "stop"

    @property
    def multiplicity(self) -> int:
        """How many sampled trajectories this one stands for."""
        return self.steps[-1].multiplicity if self.steps else 1

    @property
    def num_tokens(self) -> int:
        """Tokens generated along this trajectory."""
        return sum(step.num_tokens for step in self.steps)

    def scored(self, scores: tuple[float, ...], value: float) -> "Trajectory":
        """Return it with the PRM's scores, and the value that they make."""
        return Trajectory(
            self.problem,
            self.prompt,
            self.prompt_ids,
            self.steps,
            scores,
            self.path,
            self.readings,
            value,
        )


@dataclass(frozen=True, slots=True)
class ScoredStep:
    """A step as the PRM read it, and its score; None where no PRM took part."""

    text: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished trajectory with its reward and extracted answer.

    `reward` is None where no PRM took part. A candidate whose `finish` is "length" was cut
    before its end: it is kept, marked, and does not vote, unless `compat` says otherwise.
    """

    text: str
    steps: tuple[ScoredStep, ...]
    reward: float | None
    answer: str
    finish: Finish
    multiplicity: int
    num_tokens: int
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """Equivalent answers and what speaks for them.

    `answer` is the text of the member with the highest reward, the earliest among equals.
    """

    answer: str
    votes: int
    reward_sum: float
    reward_max: float


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One sampled step in the search tree; `kept` if the search went on from it or returned it."""

    path: tuple[int, ...]
    text: str
    score: float | None
    finish: Finish
    multiplicity: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Allocation:
    """What compute-optimal scaling spent a problem's budget on, and why.

    `reward` is the mean of the `probe` completions that the problem was judged by, `bin` its bin
    of difficulty, from 1, the easiest, and `m` the beam width used, None where there is none.
    """

    bin: int
    reward: float
    probe: int
    strategy: Strategy
    m: int | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found, how sure it is, and what it cost.

    `answers` come in the order of `vote`, the winner first; `choices` holds the answer that each
    kind of vote would choose. `shortfall` says why there are fewer than `n` candidates, and is
    empty where there are `n`. `allocation` is that of compute-optimal scaling, None for others.
    `compat` names the toolkit whose behaviour was reproduced, if any.
    """

    problem: str
    answer: str
    strategy: Strategy
    n: int
    m: int
    vote: Vote
    choices: dict[Vote, str]
    answers: tuple[AnswerGroup, ...]
    candidates: tuple[Candidate, ...]
    tree: tuple[TreeNode, ...]
    usage: Usage
    wall_s: float
    seed: int
    policy: str
    prm: str | None
    shortfall: str = ""
    allocation: Allocation | None = None
    compat: Compat | None = None
