"""Which candidate of a search answers a request, and what decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import Any

from ttc_client.answers.extract import stated_answer
from ttc_client.clients.calls import Call, calls_in, canonical_json, is_json, with_calls
from ttc_client.tasks.task import Task
from ttc_client.tasks.workers import Workers
from ttc_client.thoughts import split_thought
from ttc_client.types import Candidate, Message, Problem, SearchResult

MOST_OF = 0.5


@dataclass(frozen=True, slots=True)
class ReplyTask:
    """Read replies: the tools that they call, JSON where it is asked for, else by a profile's task.

    Without a task the conversation is left as it is, and an answer is what a reply announces as
    one. `form` is "json" where replies must be JSON; `calls` says that they may call tools.
    """

    inner: Task | None
    form: str = ""
    calls: bool = False

    @property
    def name(self) -> str:
        """The name of the profile's task, "" where it has none."""
        return self.inner.name if self.inner else ""

    @property
    def may_end_without_vote(self) -> bool:
        """Whether candidates may all be answers that are only told apart by how good they are."""
        return not (self.inner or self.form)

    def read(self, text: str) -> tuple[str, list[Call]]:
        """Return what a completion says, thoughts included, and the tools that it calls."""
        return calls_in(text) if self.calls else (text, [])

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the conversation under the task's prompt, if there is a task.

        The caller's own system message joins that prompt: many templates take one alone.
        """
        return _led_by_one(self.inner.messages(problem)) if self.inner else problem.messages

    def extract(self, problem: Problem, text: str) -> str:
        """Return the canonical calls, the canonical JSON, or the answer; "" where there is none."""
        said, calls = self.read(text)
        if calls:
            return with_calls(calls)
        if self.form == "json":
            said = split_thought(said).answer
            return canonical_json(said) if is_json(said) else ""
        if self.inner:
            return self.inner.extract(problem, said)
        return stated_answer(said)

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return calls and JSON as they are, and the task's keys of other answers."""
        if self.form == "json":
            return answers
        told = [answer for answer in answers if not self.read(answer)[1]]
        if self.inner:
            keys = await self.inner.keys(problem, told, workers)
        else:
            keys = await workers.answers.canonical_keys(told)
        of = dict(zip(told, keys, strict=True))
        return [of.get(answer, answer) for answer in answers]

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Grade as the profile's task does; without one, nothing is right."""
        if self.inner:
            return await self.inner.grade(problem, answers, workers)
        return [0.0 for _ in answers]


@dataclass(frozen=True, slots=True)
class Winner:
    """A candidate that is sent: its thought, what it says, and the calls that may be executed."""

    candidate: Candidate
    thought: str
    said: str
    calls: Sequence[Call] = ()

    @property
    def finish_reason(self) -> str:
        """Why it ended, as OpenAI says it."""
        if self.candidate.finish == "length":
            return "length"
        return "tool_calls" if self.calls else "stop"


@dataclass(frozen=True, slots=True)
class Decision:
    """The best distinct candidates, and what put them first.

    `by` is the vote ("weighted", "majority", "prm"), "reward", "confidence", or "order" where
    nothing speaks for any of them.
    """

    winners: tuple[Winner, ...]
    by: str


def decide(result: SearchResult, n: int, task: ReplyTask) -> Decision:
    """Choose the n best distinct candidates of a search, or as many as there are.

    Where most of them call tools, the most frequent calls. Else the vote, where the profile names
    a task or most candidates give an answer; else the verifier's best, or the most confident.
    """
    chosen, by = _chosen(result, task)
    return Decision(tuple(winner_of(candidate, task) for candidate in chosen[:n]), by)


def winner_of(candidate: Candidate, task: ReplyTask) -> Winner:
    """Return a candidate for sending; a call that was cut is not offered."""
    said, calls = task.read(candidate.text)
    thought, answer, _ = split_thought(said)
    return Winner(candidate, thought, answer, () if candidate.finish == "length" else calls)


def _chosen(result: SearchResult, task: ReplyTask) -> tuple[tuple[Candidate, ...], str]:
    """Return the distinct candidates, the best first, and what put them there."""
    calling = {c.path for c in result.candidates if task.read(c.text)[1]}
    callers = [c for c in result.candidates if c.path in calling and c.group is not None]
    talkers = [c for c in result.candidates if c.path not in calling]
    total = _votes(result.candidates)
    if _votes(callers) > MOST_OF * total:
        ranks = {i: group.votes for i, group in enumerate(result.answers)}
        return _best_of_groups(callers, ranks), "majority"
    voting = [c for c in talkers if c.group is not None]
    named = bool(task.name or task.form)
    if voting and (named or _votes(voting) > MOST_OF * total):
        ranks = {i: -float(i) for i in range(len(result.answers))}
        return _best_of_groups(voting, ranks), result.vote
    by, worth = "reward", _worth
    if all(c.reward is None for c in talkers):
        worth = _confidence
        by = "order" if all(_confidence(c) == -inf for c in talkers) else "confidence"
    ranked = sorted(talkers or result.candidates, key=lambda c: (c.finish == "length", -worth(c)))
    first = {c.text: c for c in reversed(ranked)}
    return tuple(c for c in ranked if first[c.text] is c), by


def _led_by_one(messages: Sequence[Message]) -> Sequence[Message]:
    """Return a conversation with the system messages that lead it as one."""
    leading = list(takewhile(lambda message: message.role == "system", messages))
    if len(leading) < 2:
        return messages
    joined = Message("system", "\n\n".join(message.content for message in leading))
    return (joined, *messages[len(leading) :])


def _votes(candidates: Sequence[Candidate]) -> float:
    return sum(candidate.votes for candidate in candidates)


def _worth(candidate: Candidate) -> float:
    found = candidate.weight if candidate.reward is None else candidate.reward
    return 0.0 if found is None else found


def _confidence(candidate: Candidate) -> float:
    """Return how sure the policy was: the strategy's own measure, else the mean log-probability."""
    found = candidate.mean_logp if candidate.weight is None else candidate.weight
    return -inf if found is None else found


def _best_of_groups(
    candidates: Sequence[Candidate], ranks: Mapping[int, float]
) -> tuple[Candidate, ...]:
    """Return the best candidate of each group, the earliest among equals, in order of rank."""
    best: dict[int, Candidate] = {}
    for candidate in candidates:
        group = candidate.group
        if group is not None and (group not in best or _worth(candidate) > _worth(best[group])):
            best[group] = candidate
    return tuple(best[group] for group in sorted(best, key=lambda g: -ranks[g]))


def told_answer(answer: str, task: ReplyTask) -> Any:
    """Return an answer for callers: a text, or the tools that are called."""
    _, calls = task.read(answer)
    return [{"name": name, "arguments": arguments} for name, arguments in calls] or answer
