"""Choose one answer from scored candidates. Pure; which answers are equivalent is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from ttc_client.types import AnswerGroup, Candidate, Vote

_MEASURES = {"prm": "reward_max", "weighted": "reward_sum", "majority": "votes"}
_VOTES: tuple[Vote, ...] = ("prm", "weighted", "majority")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The groups of equivalent answers, in order of first appearance."""

    groups: tuple[AnswerGroup, ...]

    @property
    def choices(self) -> dict[Vote, str]:
        """What each kind of vote chooses; "" where there is nothing to choose from."""
        return {vote: groups[0].answer if (groups := self.ranked(vote)) else "" for vote in _VOTES}

    def ranked(self, vote: Vote) -> tuple[AnswerGroup, ...]:
        """Return the groups in the order of a vote, the winner first, the earlier among equals.

        `prm` goes by the best reward, `weighted` by the sum of rewards (best-of-N weighted,
        Li et al. 2023, arXiv 2206.02336), `majority` by the votes (Wang et al. 2022, arXiv
        2203.11171).
        """
        return tuple(sorted(self.groups, key=attrgetter(_measure(vote)), reverse=True))


def has_vote(candidate: Candidate) -> bool:
    """Whether a candidate votes by default: it came to its own end, with an answer."""
    return bool(candidate.answer) and candidate.finish != "length"


def tally(
    candidates: Sequence[Candidate],
    keys: Sequence[str],
    has_vote: Callable[[Candidate], bool] = has_vote,
) -> Verdict:
    """Group the candidates that have a vote by the keys of their answers.

    A candidate of multiplicity k has k votes and counts k times its reward, which is 0 where no
    PRM took part.
    """
    members: dict[str, list[Candidate]] = {}
    for candidate, key in zip(candidates, keys, strict=True):
        if has_vote(candidate):
            members.setdefault(key, []).append(candidate)
    return Verdict(tuple(map(_group, members.values())))


def _measure(vote: Vote) -> str:
    if vote not in _MEASURES:
        raise ValueError(f"vote must be prm, weighted or majority, not {vote!r}")
    return _MEASURES[vote]


def _group(members: Sequence[Candidate]) -> AnswerGroup:
    best = max(members, key=_reward)
    return AnswerGroup(
        answer=best.answer,
        votes=sum(member.multiplicity for member in members),
        reward_sum=sum(member.multiplicity * _reward(member) for member in members),
        reward_max=_reward(best),
    )


def _reward(candidate: Candidate) -> float:
    return 0.0 if candidate.reward is None else candidate.reward
