"""Turn the trajectories that a search sampled into candidates, a vote and a result.

Pure: everything here can be done again from what was sampled.
"""

from collections.abc import Sequence
from dataclasses import replace

from ttc_client.search.params import STEPWISE_STRATEGIES, SearchParams
from ttc_client.search.rewards import reduce_scores
from ttc_client.search.steps import split_steps
from ttc_client.types import Candidate, ScoredStep, Trajectory, TreeNode


def best_completions(sampled: Sequence[Trajectory], n: int) -> list[Trajectory]:
    """Return the completions among the trajectories, the best N of them, in the tree's order."""
    completions = sorted((t for t in sampled if t.finished), key=lambda t: t.path)
    room = n
    returned: list[Trajectory] = []
    for completion in sorted(completions, key=lambda t: -t.value):
        if room > 0:
            returned.append(_at_most(completion, room))
            room -= completion.multiplicity
    return sorted(returned, key=lambda t: t.path)


def _at_most(completion: Trajectory, count: int) -> Trajectory:
    *before, last = completion.steps
    kept = replace(last, multiplicity=min(last.multiplicity, count))
    return replace(completion, steps=(*before, kept))


def candidate(completion: Trajectory, answer: str, params: SearchParams) -> Candidate:
    """Return a completion with its steps scored one by one, its reward and its answer."""
    texts = split_steps(completion.text)
    scores: Sequence[float | None] = completion.scores or [None] * len(texts)
    return Candidate(
        text=completion.text,
        steps=tuple(map(ScoredStep, texts, scores)),
        reward=_reward(completion, params),
        answer=answer,
        finish=completion.finish,
        multiplicity=completion.multiplicity,
        num_tokens=completion.num_tokens,
        path=completion.path,
    )


def _reward(completion: Trajectory, params: SearchParams) -> float | None:
    if not params.uses_prm:
        return None
    return reduce_scores(completion.scores, params.reduction) if completion.scores else 0.0


def search_tree(
    sampled: Sequence[Trajectory], completions: Sequence[Trajectory]
) -> tuple[TreeNode, ...]:
    """Return every sampled step in the order of the tree, marked if the search went on from it."""
    kept = {t.path[:-1] for t in sampled} | {t.path for t in completions}
    return tuple(
        TreeNode(
            path=t.path,
            text=t.steps[-1].text,
            score=t.scores[-1] if t.scores else None,
            finish=t.finish,
            multiplicity=t.multiplicity,
            kept=t.path in kept,
        )
        for t in sorted(sampled, key=lambda t: t.path)
    )


def shortfall(
    sampled: Sequence[Trajectory], candidates: Sequence[Candidate], params: SearchParams
) -> str:
    """Say why there are fewer candidates than N, and which of them have no vote."""
    reasons: list[str] = []
    count = sum(c.multiplicity for c in candidates)
    if count < params.num_completions and params.strategy in STEPWISE_STRATEGIES:
        parents = {t.path[:-1] for t in sampled}
        pruned = sum(t.multiplicity for t in sampled if not t.finished and t.path not in parents)
        reasons.append(f"{pruned} steps were pruned before they came to an end")
    if repeated := count - len(candidates):
        reasons.append(f"{repeated} repeat another candidate and are counted with it")
    if cut := sum(c.multiplicity for c in candidates if c.finish == "length"):
        reasons.append(f"{cut} were cut by a token limit and do not vote")
    if not reasons:
        return ""
    return f"{len(candidates)} candidates for n = {params.num_completions}: " + "; ".join(reasons)
