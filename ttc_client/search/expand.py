"""One expansion, as all strategies use it: sample, merge duplicates, look ahead, score.

Knows nothing of what is kept: that is the strategies' part.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ttc_client.search.params import SearchParams
from ttc_client.search.ports import PRM, Policy, SampleRequest, ScoreRequest
from ttc_client.search.rewards import reduce_scores
from ttc_client.search.steps import STEP_DELIMITER, split_steps
from ttc_client.together import together
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True)
class Expander:
    """Continue a trajectory in n ways: by one step, or `to_end`.

    Returns the distinct continuations in the order sampled, each with its multiplicity, scores
    and value; without a PRM these stay as they are. `first` is the index of the first child
    among its siblings, for strategies that sample siblings in several requests. `temperature`
    defaults to that of `params`. `offset` is the index of the root's first child, for searches
    that share a root: it keeps their paths and seeds apart.
    """

    policy: Policy
    prm: PRM | None
    params: SearchParams
    offset: int = 0

    async def __call__(
        self,
        parent: Trajectory,
        n: int,
        *,
        first: int = 0,
        to_end: bool = False,
        temperature: float | None = None,
    ) -> tuple[Trajectory, ...]:
        if temperature is None:
            temperature = self.params.temperature
        if not parent.path:
            first += self.offset
        children = await self._sample(parent, n, temperature, first, to_end)
        if self.prm is None:
            return children
        lookahead = 0 if to_end else self.params.lookahead
        rolled_out = await self._roll_out(children, lookahead) if lookahead else children
        return await self._score(self.prm, parent, children, rolled_out)

    async def _sample(
        self, parent: Trajectory, n: int, temperature: float, first: int = 0, to_end: bool = False
    ) -> tuple[Trajectory, ...]:
        left = self.params.max_completion_tokens - parent.num_tokens
        limit = left if to_end else min(left, self.params.max_tokens)
        children = await sample(
            self.policy,
            self.params,
            parent,
            n,
            temperature,
            limit,
            first=first,
            subtree=self._subtree(parent.path or (first,)),
            to_end=to_end,
        )
        return merge_alike(
            _cut(child) if child.steps[-1].num_tokens >= left else child for child in children
        )

    async def _roll_out(
        self, children: tuple[Trajectory, ...], lookahead: int
    ) -> tuple[Trajectory, ...]:
        """Continue each child greedily by up to `lookahead` steps (Snell et al. 2024, §5.1)."""

        async def roll_out(trajectory: Trajectory) -> Trajectory:
            for _ in range(lookahead):
                if not trajectory.finished:
                    (trajectory,) = await self._sample(trajectory, 1, temperature=0.0)
            return trajectory

        return await together(map(roll_out, children))

    async def _score(
        self,
        prm: PRM,
        parent: Trajectory,
        children: tuple[Trajectory, ...],
        rolled_out: tuple[Trajectory, ...],
    ) -> tuple[Trajectory, ...]:
        """Score the new steps of all children at once; rank by the rolled-out text."""
        known = parent.readings
        items = tuple(rolled.readings[len(known) :] for rolled in rolled_out)
        if not any(items):
            return children
        subtree = self._subtree(children[0].path)
        reply = await prm(ScoreRequest(parent.problem, known, items, parent.path, subtree))
        reduction = self.params.reduction
        return tuple(
            child.scored(
                parent.scores + scores[: len(child.readings) - len(known)],
                reduce_scores(parent.scores + scores, reduction) if scores else parent.value,
            )
            for child, scores in zip(children, reply.scores, strict=True)
        )

    def _subtree(self, path: tuple[int, ...]) -> int:
        """Number the groups of M siblings among the first steps; those of DVTS are subtrees."""
        return (path[0] - self.offset) // self.params.m


async def sample(
    policy: Policy,
    params: SearchParams,
    parent: Trajectory,
    n: int,
    temperature: float,
    max_tokens: int,
    *,
    first: int = 0,
    subtree: int = 0,
    to_end: bool = False,
) -> tuple[Trajectory, ...]:
    """Continue a trajectory in n ways, and return them all, without scores of their own."""
    samples = await policy(
        SampleRequest(
            trajectory=parent,
            n=n,
            temperature=temperature,
            top_p=params.top_p,
            max_tokens=max_tokens,
            stop=() if to_end else (STEP_DELIMITER,),
            seed=_request_seed(params, parent, first),
            subtree=subtree,
        )
    )
    return tuple(
        Trajectory(
            parent.problem,
            parent.prompt,
            parent.prompt_ids or samples.prompt_ids,
            steps=(*parent.steps, step),
            scores=parent.scores,
            path=(*parent.path, first + index),
            readings=parent.readings + split_steps(step.text),
            value=parent.value,
        )
        for index, step in enumerate(samples.steps)
    )


def _request_seed(params: SearchParams, parent: Trajectory, first: int) -> int | None:
    """Derive a request's seed from the run's, the problem and the place in the tree.

    Servers add a child's index to it. 52 bits, so that it survives JSON readers that keep
    numbers as doubles, and no two requests of a run are likely to share a child's seed.
    """
    if not params.seeds:
        return None
    place = repr((params.seed, parent.problem, parent.path, first)).encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest()) >> 12


def merge_alike(siblings: Iterable[Trajectory]) -> tuple[Trajectory, ...]:
    """Keep siblings that read the same once, at the first one's place, and count them."""
    alike: dict[tuple[str, str], list[Trajectory]] = {}
    for sibling in siblings:
        step = sibling.steps[-1]
        alike.setdefault((step.text, step.finish), []).append(sibling)
    return tuple(_standing_for(group) for group in alike.values())


def _standing_for(alike: list[Trajectory]) -> Trajectory:
    if len(alike) == 1:
        return alike[0]
    *before, last = alike[0].steps
    merged = replace(last, multiplicity=sum(t.multiplicity for t in alike))
    return replace(alike[0], steps=(*before, merged))


def _cut(trajectory: Trajectory) -> Trajectory:
    """Mark a step that used up the tokens of its completion, unless it was the end anyway."""
    *before, last = trajectory.steps
    if last.finish != "stop":
        return trajectory
    return replace(trajectory, steps=(*before, replace(last, finish="length")))
