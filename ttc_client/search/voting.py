"""Choose one answer from scored candidates. Pure; which answers are equivalent is given."""

from collections.abc import Mapping, Sequence

from ttc_client.types import AnswerGroup, Candidate, Vote

_MEASURES: Mapping[Vote, str] = {
    "prm": "reward_max",
    "weighted": "reward_sum",
    "majority": "votes",
}


def grouped(members: Sequence[Sequence[Candidate]]) -> tuple[AnswerGroup, ...]:
    """Return what speaks for each group of equivalent answers.

    A candidate of k votes counts k times its weight, by default its reward, which is 0 where no
    verifier took part.
    """
    return tuple(map(_group, members))


def ranked(groups: Sequence[AnswerGroup], vote: Vote) -> tuple[AnswerGroup, ...]:
    """Return groups in the order of a vote, the winner first, the earlier among equals.

    `prm` goes by the best reward, `weighted` by the sum of rewards (best-of-N weighted, Li et al.
    2023, arXiv 2206.02336), `majority` by the votes (Wang et al. 2022, arXiv 2203.11171). Raises
    ValueError for another vote.
    """
    if vote not in _MEASURES:
        raise ValueError(f"vote must be prm, weighted or majority, not {vote!r}")
    return tuple(sorted(groups, key=lambda group: support(group, vote), reverse=True))


def support(group: AnswerGroup, vote: Vote) -> float:
    """Return what speaks for a group of equivalent answers in a vote."""
    return getattr(group, _MEASURES[vote])


def counted_vote(vote: Vote | None, default: Vote) -> Vote:
    """Return the vote that can be counted off candidates alone; `default` where none is meant."""
    return default if vote in (None, "tournament") else vote


def choices(
    groups: Sequence[AnswerGroup], *, scored: bool, weighed: bool = False
) -> dict[Vote, str]:
    """Return what each vote chooses, "" where there is nothing to choose from.

    Without a verifier (`scored`), the majority is the only vote, unless the strategy has `weighed`
    its candidates itself.
    """
    votes: tuple[Vote, ...] = ("prm", "weighted", "majority")
    if not scored:
        votes = votes[1:] if weighed else votes[2:]
    return {vote: order[0].answer if (order := ranked(groups, vote)) else "" for vote in votes}


def _group(members: Sequence[Candidate]) -> AnswerGroup:
    best = max(members, key=_reward)
    return AnswerGroup(
        answer=best.answer,
        votes=sum(member.votes for member in members),
        reward_sum=sum(member.votes * _weight(member) for member in members),
        reward_max=_reward(best),
    )


def _reward(candidate: Candidate) -> float:
    return 0.0 if candidate.reward is None else candidate.reward


def _weight(candidate: Candidate) -> float:
    return _reward(candidate) if candidate.weight is None else candidate.weight
