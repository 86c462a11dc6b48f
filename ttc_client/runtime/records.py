"""What is kept of a graded search: one record per problem, strategy, N and seed.

A record holds what metrics need, and nothing that depends on the machine's speed: that is in its
`Cost`. What was written is in its `Trace`. Pure; knows nothing of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import NamedTuple

from ttc_client.types import (
    Allocation,
    AnswerGroup,
    Candidate,
    Finish,
    SearchResult,
    TreeNode,
    Usage,
    Vote,
)


class Key(NamedTuple):
    """What names a search of a run."""

    strategy: str
    n: int
    seed: int
    id: str


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """A group of equivalent answers, and how right they are, from 0 to 1."""

    answer: str
    grade: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A candidate without its text; `answer` indexes the record's answers, None: has no vote."""

    answer: int | None
    reward: float | None
    scores: tuple[float, ...]
    finish: Finish
    votes: float
    num_tokens: int
    path: tuple[int, ...]
    weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished search of one problem, or in `error` why it failed.

    `vote` is the one that decides, `choices` holds the answer that each kind of vote chose and
    `grades` how right that is. `num_ungraded` counts the answers that are graded 0 for want of
    time. `note` and `allocation` are the search's own. Of a failed search, `error_type` is the
    type of the exception, and `traceback` where it came from if it is not a TTCError.
    """

    id: str
    strategy: str
    n: int
    seed: int
    error: str = ""
    error_type: str = ""
    traceback: str = ""
    vote: Vote = "majority"
    choices: dict[Vote, str] = field(default_factory=dict[Vote, str])
    grades: dict[Vote, float] = field(default_factory=dict[Vote, float])
    answers: tuple[GradedAnswer, ...] = ()
    samples: tuple[Sample, ...] = ()
    num_ungraded: int = 0
    note: str = ""
    allocation: Allocation | None = None

    @property
    def grade(self) -> float:
        """How right the answer is that the search decides for."""
        return self.grades.get(self.vote, 0.0)

    @property
    def best_grade(self) -> float:
        """How right the best of its answers is: the oracle's choice."""
        return max((answer.grade for answer in self.answers), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the search of a record took; not the same when it is run again."""

    id: str
    strategy: str
    n: int
    seed: int
    usage: Usage
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Every step that the search of a record sampled; a sample's path leads to its text."""

    id: str
    strategy: str
    n: int
    seed: int
    tree: tuple[TreeNode, ...]


def key_of(line: Record | Cost | Trace) -> Key:
    """Return what names the search that a line is about."""
    return Key(line.strategy, line.n, line.seed, line.id)


def texts(trace: Trace) -> dict[tuple[int, ...], str]:
    """Return for the path of each step all that was written up to it."""
    written: dict[tuple[int, ...], str] = {(): ""}
    for node in trace.tree:
        written[node.path] = written[node.path[:-1]] + node.text
    return written


def record_of(key: Key, result: SearchResult, grades: Sequence[float]) -> Record:
    """Return the record of a search; the grades are those of `distinct_answers`."""
    return make_record(
        key,
        result.candidates,
        result.answers,
        dict(zip(distinct_answers(result.candidates), grades, strict=True)),
        vote=result.vote,
        choices=result.choices,
        note=result.note,
        allocation=result.allocation,
    )


def distinct_answers(candidates: Sequence[Candidate]) -> list[str]:
    """Return the answers that vote, each text once."""
    return list(dict.fromkeys(c.answer for c in candidates if c.group is not None))


def make_record(
    key: Key,
    candidates: Sequence[Candidate],
    groups: Sequence[AnswerGroup],
    grades: dict[str, float],
    *,
    vote: Vote,
    choices: dict[Vote, str],
    note: str = "",
    allocation: Allocation | None = None,
) -> Record:
    """Return the record of a search, whose candidates' `group` indexes the groups.

    A group of equivalent answers is as right as the best of their texts.
    """
    of_group = [0.0] * len(groups)
    for candidate in candidates:
        grade = grades.get(candidate.answer, 0.0)
        if candidate.group is not None and not isnan(grade):
            of_group[candidate.group] = max(of_group[candidate.group], grade)
    answers = tuple(
        GradedAnswer(group.answer, grade) for group, grade in zip(groups, of_group, strict=True)
    )
    of_answer = {graded.answer: graded.grade for graded in answers}
    return Record(
        **key._asdict(),
        vote=vote,
        choices=choices,
        grades={kind: of_answer.get(answer, 0.0) for kind, answer in choices.items()},
        answers=answers,
        samples=tuple(map(_sample, candidates)),
        num_ungraded=sum(map(isnan, grades.values())),
        note=note,
        allocation=allocation,
    )


def _sample(candidate: Candidate) -> Sample:
    return Sample(
        answer=candidate.group,
        reward=candidate.reward,
        scores=tuple(step.score for step in candidate.steps if step.score is not None),
        finish=candidate.finish,
        votes=candidate.votes,
        num_tokens=candidate.num_tokens,
        path=candidate.path,
        weight=candidate.weight,
    )
