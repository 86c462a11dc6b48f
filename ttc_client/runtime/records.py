"""What is kept of a graded search: one record per problem, strategy, N and seed.

A record holds what metrics need, and nothing that depends on the machine's speed: that is in its
`Cost`. What was written is in its `Trace`. Pure; knows nothing of files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ttc_client.grading import Grades
from ttc_client.search.modes import MODES
from ttc_client.search.params import default_vote
from ttc_client.search.voting import tally
from ttc_client.types import (
    Allocation,
    Candidate,
    Compat,
    Finish,
    Strategy,
    TreeNode,
    Usage,
    Vote,
)


class Key(NamedTuple):
    """What names a search of a run."""

    strategy: Strategy
    n: int
    seed: int
    id: str


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """A group of equivalent answers, and whether they are right."""

    answer: str
    correct: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A candidate without its text; `answer` indexes the record's answers, None: has no vote."""

    answer: int | None
    reward: float | None
    scores: tuple[float, ...]
    finish: Finish
    multiplicity: int
    num_tokens: int
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished search of one problem, or in `error` why it failed.

    `choices` holds the answer that each kind of vote chose and `correct` whether it is right.
    `num_timeouts` counts the answers that are graded wrong for want of time. `allocation` is that
    of compute-optimal scaling.
    """

    id: str
    strategy: Strategy
    n: int
    seed: int
    error: str = ""
    choices: dict[Vote, str] = field(default_factory=dict[Vote, str])
    correct: dict[Vote, bool] = field(default_factory=dict[Vote, bool])
    answers: tuple[GradedAnswer, ...] = ()
    samples: tuple[Sample, ...] = ()
    num_timeouts: int = 0
    shortfall: str = ""
    allocation: Allocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the search of a record took; not the same when it is run again."""

    id: str
    strategy: Strategy
    n: int
    seed: int
    usage: Usage
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Every step that the search of a record sampled; a sample's path leads to its text."""

    id: str
    strategy: Strategy
    n: int
    seed: int
    tree: tuple[TreeNode, ...]


def is_right(
    strategy: Strategy, correct: Mapping[Vote, bool], allocation: Allocation | None
) -> bool:
    """Say whether the answer that a search of a run decides for is right."""
    return correct.get(default_vote(strategy, allocation), False)


def key_of(line: Record | Cost | Trace) -> Key:
    """Return what names the search that a line is about."""
    return Key(line.strategy, line.n, line.seed, line.id)


def texts(trace: Trace) -> dict[tuple[int, ...], str]:
    """Return for the path of each step all that was written up to it."""
    written: dict[tuple[int, ...], str] = {(): ""}
    for node in trace.tree:
        written[node.path] = written[node.path[:-1]] + node.text
    return written


def make_record(
    key: Key,
    candidates: Sequence[Candidate],
    grades: Grades,
    *,
    compat: Compat | None = None,
    shortfall: str = "",
    allocation: Allocation | None = None,
) -> Record:
    """Return the record of a search; the grades are those of its candidates' answers, in order."""
    has_vote = MODES[compat].has_vote
    verdict = tally(candidates, grades.keys, has_vote)
    voting = [index for index, candidate in enumerate(candidates) if has_vote(candidate)]
    groups = {name: i for i, name in enumerate(dict.fromkeys(grades.keys[v] for v in voting))}
    right = {groups[grades.keys[v]] for v in voting if grades.correct[v]}
    answers = tuple(
        GradedAnswer(group.answer, index in right) for index, group in enumerate(verdict.groups)
    )
    correct = {graded.answer: graded.correct for graded in answers}
    return Record(
        **key._asdict(),
        choices=verdict.choices,
        correct={vote: correct.get(answer, False) for vote, answer in verdict.choices.items()},
        answers=answers,
        samples=tuple(
            _sample(candidate, groups[name] if has_vote(candidate) else None)
            for candidate, name in zip(candidates, grades.keys, strict=True)
        ),
        num_timeouts=grades.num_timeouts,
        shortfall=shortfall,
        allocation=allocation,
    )


def _sample(candidate: Candidate, answer: int | None) -> Sample:
    return Sample(
        answer=answer,
        reward=candidate.reward,
        scores=tuple(step.score for step in candidate.steps if step.score is not None),
        finish=candidate.finish,
        multiplicity=candidate.multiplicity,
        num_tokens=candidate.num_tokens,
        path=candidate.path,
    )
