"""What is kept of a graded search: one record per problem, strategy, N and seed.

A record holds what metrics need, and nothing that depends on the machine's speed: that is in its
`Cost`. What was written is in its `Trace`. Pure; knows nothing of files.
"""

from collections.abc import Mapping, Sequence
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
    """A group of equivalent answers, and how right they are, from 0 to 1.

    `own` is what the task's own grader says where another one graded, else None.
    """

    answer: str
    grade: float
    own: float | None = None


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
    """Return for the path of each step all that was written up to it, from its prompt on."""
    written: dict[tuple[int, ...], str] = {(): ""}
    for node in trace.tree:
        before = written[node.path[:-1]]
        written[node.path] = "" if node.is_prompt else before + node.text
    return written


def record_of(
    key: Key,
    result: SearchResult,
    grades: Sequence[float],
    own: Sequence[float] | None = None,
) -> Record:
    """Return the record of a search; the grades are those of `distinct_answers`.

    `own` are those of the task's own grader, where another one graded.
    """
    answers = distinct_answers(result.candidates)
    return make_record(
        key,
        result.candidates,
        result.answers,
        dict(zip(answers, grades, strict=True)),
        own=dict(zip(answers, own, strict=True)) if own is not None else None,
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
    own: Mapping[str, float] | None = None,
    note: str = "",
    allocation: Allocation | None = None,
) -> Record:
    """Return the record of a search, whose candidates' `group` indexes the groups.

    A group of equivalent answers is as right as the text that stands for it.
    """
    answers = tuple(
        GradedAnswer(
            group.answer,
            _number(grades.get(group.answer, 0.0)),
            None if own is None else _number(own.get(group.answer, 0.0)),
        )
        for group in groups
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


def _number(grade: float) -> float:
    """Return a grade; what there was no time to grade is wrong."""
    return 0.0 if isnan(grade) else grade


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
