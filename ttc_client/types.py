"""The data that flows through a search, from a problem to a typed result.

    Problem → Prompt → Trajectory → Steps and scores → Candidate → AnswerGroup → SearchResult

Everything is frozen. Knows nothing of servers, files or the screen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from ttc_client.notebook import votes_and_tree
from ttc_client.thoughts import NOT_FORCED, Forced
from ttc_client.usage import Usage

Reduction = Literal["last", "min", "prod", "mean"]
Vote = Literal["prm", "weighted", "majority", "tournament"]
Compat = Literal["sal"]
"""Whose behaviour is reproduced: that of huggingface/search-and-learn."""

Finish = Literal["stop", "eos", "length"]
"""Why the policy stopped: at a step delimiter, at its end, or cut by a token limit."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is asked, and what is known of the right answer.

    `messages` is the conversation with the question last, without the task's own prompt; left out,
    it is the question alone. `question` is what a verifier reads. `gold` is the right answer, ""
    where it is not known, and `data` holds what else a task needs, such as options or tests.
    `level` and `subject` are "" where the problem set has none. `ends` are strings that end a
    completion, and `chat` holds fields of a chat request, such as tools: see `Prompt`.
    """

    question: str
    id: str = ""
    gold: str = ""
    level: str = ""
    subject: str = ""
    messages: tuple[Message, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    ends: tuple[str, ...] = ()
    chat: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def __post_init__(self) -> None:
        if not self.messages:
            object.__setattr__(self, "messages", (Message("user", self.question),))

    @property
    def key(self) -> str:
        """What tells this problem's seeds and sessions from those of others: its messages."""
        first, *others = self.messages
        if not others and (first.role, first.content) == ("user", self.question):
            return self.question
        return repr([(message.role, message.content) for message in self.messages])


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages, and how the policy's server reads them.

    `text` is the templated text, `ids` its tokens; each is empty where the client works with the
    other alone. `ends` are strings that end a completion and are not part of it. With `chat`,
    completions are sampled whole by the server's chat API, which is sent these fields: tools, say.
    `closes_thought` is the mark that ends the thought which the prompt leaves open, if any.
    """

    messages: tuple[Message, ...]
    text: str = ""
    ids: tuple[int, ...] = ()
    ends: tuple[str, ...] = ()
    chat: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    closes_thought: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that the policy wrote, up to and including its delimiter or its end.

    A completion sampled whole is a single `Step` with several steps in its text.
    `token_ids` is empty where the server speaks text only. `multiplicity` counts the siblings
    that were sampled alike, this one included. `logprobs` holds the log-probability of each token
    and `confidences` the negative mean of its likeliest alternatives (DeepConf, arXiv 2508.15260);
    each is empty where it was not asked for, or not given. `forced` is what others wrote of it.
    """

    text: str
    finish: Finish
    num_tokens: int
    token_ids: tuple[int, ...] = ()
    multiplicity: int = 1
    logprobs: tuple[float, ...] = ()
    confidences: tuple[float, ...] = ()
    forced: Forced = NOT_FORCED


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A prompt and the steps so far, with a score per step, None where the verifier gave none.

    `path` holds the index of each step among its siblings, so that it names the trajectory
    within a search. `readings` are the steps as the verifier reads them. `value` is what the
    search ranks by: the reduced scores, or, with lookahead, those of the rolled-out text.
    """

    prompt: Prompt
    steps: tuple[Step, ...] = ()
    scores: tuple[float | None, ...] = ()
    path: tuple[int, ...] = ()
    readings: tuple[str, ...] = ()
    value: float = 0.0

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens of the prompt and all steps, a continuation's exact input.

        Joined when they are sent: most trajectories are pruned, and need none of their own.
        """
        ids = self.prompt.ids
        return ids and (*ids, *chain.from_iterable([step.token_ids for step in self.steps]))

    @property
    def text(self) -> str:
        """What the policy has written so far."""
        return "".join([step.text for step in self.steps])

    @property
    def finish(self) -> Finish:
        """Why the last step ended; "stop" while no step is written."""
        return self.steps[-1].finish if self.steps else "stop"

    @property
    def finished(self) -> bool:
        """Whether the trajectory is a completion: ended by itself or cut by length."""
        return bool(self.steps) and self.steps[-1].finish != "stop"

    @property
    def multiplicity(self) -> int:
        """How many sampled trajectories this one stands for."""
        return self.steps[-1].multiplicity if self.steps else 1

    @property
    def num_tokens(self) -> int:
        """Tokens generated along this trajectory."""
        return sum([step.num_tokens for step in self.steps])

    def scored(self, scores: tuple[float | None, ...], value: float) -> "Trajectory":
        """Return it with the verifier's scores, and the value that they make."""
        return Trajectory(self.prompt, self.steps, scores, self.path, self.readings, value)


@dataclass(frozen=True, slots=True)
class ScoredStep:
    """A step as the verifier read it, and its score; None where it gave none, or none took part."""

    text: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trajectory that a search hands over, with its reward and extracted answer.

    `reward` is None where no verifier took part, or gave no score. `votes` counts the samples that
    it stands for, or its copies; `weight` is what each counts in the weighted vote, None for the
    reward. `group` indexes the result's `answers`; None has no vote: it gives no answer, was cut,
    or ended within its `thought` (`in_thought`), unless `compat` says otherwise. `mean_logp` is the
    mean log-probability of its tokens, None where it was not asked for, or not given.
    """

    text: str
    steps: tuple[ScoredStep, ...]
    reward: float | None
    answer: str
    finish: Finish
    num_tokens: int
    path: tuple[int, ...]
    votes: float = 1
    weight: float | None = None
    group: int | None = None
    thought: str = ""
    in_thought: bool = False
    mean_logp: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """Equivalent answers and what speaks for them; without a verifier, the rewards are 0.

    `answer` is the text of the member with the highest reward, the earliest among equals.
    """

    answer: str
    votes: float
    reward_sum: float
    reward_max: float


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A sampled step, or a new prompt; `kept` if the search went on from it or returned it."""

    path: tuple[int, ...]
    text: str
    score: float | None
    finish: Finish
    multiplicity: int
    kept: bool
    is_prompt: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How a search's samples become votes; each counts what the one before it holds.

    Of `first_steps` sampled at the root, `distinct_first_steps` read differently. `sampled` steps
    make up the whole tree; `finished` completions came of them, `distinct` of which read
    differently. `cut` of these hit a token limit, `unanswered` ended without an answer,
    `in_thought` of them within their thought, and `votes` were cast.
    """

    first_steps: int
    distinct_first_steps: int
    sampled: int
    finished: int
    distinct: int
    cut: int
    unanswered: int
    votes: float
    in_thought: int = 0


@dataclass(frozen=True, slots=True)
class Allocation:
    """What compute-optimal scaling spent a problem's budget on, and why.

    `reward` is the mean of the `probe` completions that the problem was judged by, `bin` its bin
    of difficulty, from 1, the easiest, and `m` the beam width used, None where there is none.
    """

    bin: int
    reward: float
    probe: int
    strategy: str
    m: int | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found, how sure it is, and what it cost.

    `answers` come in the order of `vote`, the winner first; `choices` holds the answer that each
    kind of vote would choose, those by reward only where a verifier took part. `note` is what the
    strategy says of its search, such as that it stopped early. `allocation` is that of
    compute-optimal scaling, None for others. `compat` names the toolkit whose behaviour was
    reproduced, if any. `demo` says that the demo models answered.
    """

    problem: Problem
    answer: str
    strategy: str
    n: int
    m: int
    vote: Vote
    choices: dict[Vote, str]
    answers: tuple[AnswerGroup, ...]
    candidates: tuple[Candidate, ...]
    tree: tuple[TreeNode, ...]
    counts: Counts
    usage: Usage
    wall_s: float
    seed: int
    task: str
    policy: str
    prm: str | None
    note: str = ""
    allocation: Allocation | None = None
    compat: Compat | None = None
    demo: bool = False

    def __repr__(self) -> str:
        leaders = ", ".join(f"{group.answer}: {group.votes:g}" for group in self.answers[:3])
        vote = f"{self.vote} vote; votes {leaders or 'none'}; {self.wall_s:.1f} s"
        return f"<SearchResult {self.answer!r} by {self.strategy} at N={self.n} ({vote})>"

    def _repr_html_(self) -> str:
        """Return the votes and the tree, as Jupyter shows them."""
        votes = [(g.answer, g.votes, g.reward_sum if self.prm else None) for g in self.answers]
        tree = [(node.path, node.text, node.score, node.kept) for node in self.tree]
        return votes_and_tree(repr(self), votes, tree)
