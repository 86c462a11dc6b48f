"""Turn the trajectories that a search sampled into candidates, votes and a tree.

Pure: everything here can be done again from what was sampled.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from operator import attrgetter

from ttc_client.search.ballot import Ballot
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams
from ttc_client.search.rewards import reward_of
from ttc_client.search.thinking import said, steps_read
from ttc_client.search.voting import grouped
from ttc_client.thoughts import Thought
from ttc_client.types import (
    AnswerGroup,
    Candidate,
    Counts,
    Finish,
    Reduction,
    ScoredStep,
    Trajectory,
    TreeNode,
)


def _came_to_an_answer(answer: str, finish: Finish) -> bool:
    return bool(answer) and finish != "length"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a candidate is read: the steps that were scored, what holds the answer, and its vote.

    `read_steps` gives the steps of a text of which nothing else is known; `said` tells the thought
    from the response, which holds the answer.
    """

    read_steps: Callable[[str], Sequence[str]] = steps_read
    readings: Callable[[Trajectory], Sequence[str]] = attrgetter("readings")
    said: Callable[[Trajectory], Thought] = said
    reward: Callable[[Sequence[float | None], Reduction], float | None] = reward_of
    has_vote: Callable[[str, Finish], bool] = _came_to_an_answer


def merge_alike(siblings: Iterable[Trajectory]) -> tuple[Trajectory, ...]:
    """Keep siblings that read the same once, at the first one's place, and count them."""
    alike: dict[tuple[str, str], list[Trajectory]] = {}
    for sibling in siblings:
        step = sibling.steps[-1]
        alike.setdefault((step.text, step.finish), []).append(sibling)
    return tuple([group[0] if len(group) == 1 else _merged(group) for group in alike.values()])


def _merged(alike: Sequence[Trajectory]) -> Trajectory:
    *before, last = alike[0].steps
    merged = replace(last, multiplicity=sum(t.multiplicity for t in alike))
    return replace(alike[0], steps=(*before, merged))


def as_ended(trajectory: Trajectory, left: int, checkpoint: int | None) -> Trajectory:
    """Mark a step that used up the tokens of its completion, unless it was the end anyway.

    One that was cut after as many tokens as a `checkpoint` calls for can go on.
    """
    last = trajectory.steps[-1]
    used_up = last.num_tokens >= left
    if last.finish == "stop" and used_up:
        last = replace(last, finish="length")
    elif last.finish == "length" and checkpoint and checkpoint <= last.num_tokens < left:
        last = replace(last, finish="stop")
    else:
        return trajectory
    return replace(trajectory, steps=(*trajectory.steps[:-1], last))


def completions(sampled: Iterable[Trajectory], n: int) -> tuple[Pick, ...]:
    """Return the completions among the trajectories, the best N of them, in the tree's order."""
    finished = sorted([t for t in sampled if t.finished], key=attrgetter("path"))
    room = n
    picks: list[Pick] = []
    for completion in sorted(finished, key=lambda t: -t.value):
        if room > 0:
            picks.append(Pick(completion, min(completion.multiplicity, room)))
            room -= completion.multiplicity
    return tuple(sorted(picks, key=lambda pick: pick.trajectory.path))


def merge_picks(picks: Iterable[Pick]) -> tuple[Pick, ...]:
    """Add up the votes, with their mean weight, of picks of the same trajectory, in its order."""
    alike: dict[tuple[int, ...], list[Pick]] = {}
    for pick in picks:
        alike.setdefault(pick.trajectory.path, []).append(pick)
    return tuple(_added_up(alike[path]) for path in sorted(alike))


def _added_up(alike: Sequence[Pick]) -> Pick:
    votes = sum(pick.votes for pick in alike)
    weights = [pick.votes * pick.weight for pick in alike if pick.weight is not None]
    return Pick(alike[0].trajectory, votes, sum(weights) / votes if weights else None)


async def candidates(
    picks: Sequence[Pick], params: SearchParams, ballot: Ballot, rules: Rules, *, scored: bool
) -> tuple[tuple[Candidate, ...], tuple[AnswerGroup, ...]]:
    """Return the candidates, and the groups of those that vote, in order of first appearance.

    `scored` says whether a verifier took part: a candidate without a score then has a reward of 0.
    """
    unscored = 0.0 if scored else None
    read = [_candidate(pick, params, ballot, rules, unscored) for pick in picks]
    return await vote_on(read, ballot, rules)


async def vote_on(
    read: Sequence[Candidate], ballot: Ballot, rules: Rules
) -> tuple[tuple[Candidate, ...], tuple[AnswerGroup, ...]]:
    """Return candidates with their groups, and the groups in order of first appearance."""
    keys = await ballot.keys([candidate.answer for candidate in read])
    members: dict[str, list[Candidate]] = {}
    for candidate, key in zip(read, keys, strict=True):
        if rules.has_vote(candidate.answer, candidate.finish):
            members.setdefault(key, []).append(candidate)
    numbers = {id(c): number for number, group in enumerate(members.values()) for c in group}
    voting = tuple(replace(candidate, group=numbers.get(id(candidate))) for candidate in read)
    return voting, grouped(tuple(members.values()))


def _candidate(
    pick: Pick, params: SearchParams, ballot: Ballot, rules: Rules, unscored: float | None
) -> Candidate:
    """Return a pick with its steps scored one by one, its reward and its answer."""
    trajectory = pick.trajectory
    scores = trajectory.scores
    thought = rules.said(trajectory)
    return Candidate(
        text=trajectory.text,
        steps=tuple(
            [
                ScoredStep(text or "", score)  # a step that was only rolled out has no text
                for text, score in zip_longest(rules.readings(trajectory), scores)
            ]
        ),
        reward=rules.reward(scores, params.reduction) if scores else unscored,
        answer=ballot.extract(thought.answer),
        finish=trajectory.finish,
        num_tokens=trajectory.num_tokens,
        path=trajectory.path,
        votes=pick.votes,
        weight=pick.weight,
        thought=thought.thought,
        in_thought=thought.is_open,
        mean_logp=_mean_logp(trajectory),
    )


def _mean_logp(trajectory: Trajectory) -> float | None:
    """Return the mean log-probability of the tokens, None unless each step came with them."""
    logprobs = [step.logprobs for step in trajectory.steps]
    if not logprobs or not all(logprobs):
        return None
    return sum(map(sum, logprobs)) / sum(map(len, logprobs))


def in_order_of(
    found: Sequence[Candidate], groups: Sequence[AnswerGroup], order: Sequence[AnswerGroup]
) -> tuple[Candidate, ...]:
    """Return the candidates with their groups numbered as in another order of the groups."""
    places = {id(group): place for place, group in enumerate(order)}
    moved = [places[id(group)] for group in groups]
    return tuple(
        c if c.group is None or c.group == moved[c.group] else replace(c, group=moved[c.group])
        for c in found
    )


def tree_node(trajectory: Trajectory, *, kept: bool) -> TreeNode:
    """Return the last step of a trajectory as a node of the tree."""
    last = trajectory.steps[-1]
    return TreeNode(
        path=trajectory.path,
        text=last.text,
        score=trajectory.scores[-1] if trajectory.scores else None,
        finish=last.finish,
        multiplicity=last.multiplicity,
        kept=kept,
    )


def search_tree(found: Found) -> tuple[TreeNode, ...]:
    """Return every sampled step in the order of the tree, marked if the search went on from it.

    What was asked anew is a node of its own.
    """
    sampled = found.sampled
    prompts = {t.path[: len(t.path) - len(t.steps)]: t.prompt for t in sampled}
    prompts.pop((), None)
    gone_on_from = {path[:-1] for path in (*prompts, *[t.path for t in sampled])}
    kept = gone_on_from | {pick.trajectory.path for pick in found.picks}
    nodes = [tree_node(t, kept=t.path in kept) for t in sampled]
    nodes += [
        TreeNode(path, prompt.messages[-1].content, None, "stop", 1, kept=True, is_prompt=True)
        for path, prompt in prompts.items()
    ]
    return tuple(sorted(nodes, key=attrgetter("path")))


def counts(found: Found, read: Sequence[Candidate]) -> Counts:
    """Count how the samples of a search became its votes."""
    roots = [t for t in found.sampled if len(t.path) == 1]
    finished = [t for t in found.sampled if t.finished]
    return Counts(
        first_steps=sum(t.multiplicity for t in roots),
        distinct_first_steps=len({t.steps[0].text for t in roots}),
        sampled=sum([t.multiplicity for t in found.sampled]),
        finished=sum(t.multiplicity for t in finished),
        distinct=len({t.text for t in finished}),
        cut=sum(t.multiplicity for t in finished if t.finish == "length"),
        unanswered=int(sum(c.votes for c in read if not c.answer and c.finish != "length")),
        votes=sum(c.votes for c in read if c.group is not None),
        in_thought=int(sum(c.votes for c in read if c.in_thought and c.finish != "length")),
    )
