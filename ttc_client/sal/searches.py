"""The toolkit's best-of-n, beam search and DVTS. What they depart in is listed in the package."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain

from ttc_client.search.expand import sample
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import PRM, Policy, ScoreRequest
from ttc_client.search.rewards import reduce_scores
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.together import together
from ttc_client.types import Strategy, Trajectory

_DVTS_MAX_TOKENS = 2048


def ended(trajectory: Trajectory) -> bool:
    """Whether the toolkit takes a trajectory for finished: also after an empty step."""
    return trajectory.finished or not trajectory.steps[-1].text


def limit(params: SearchParams) -> int:
    """Return how many tokens a step may have; a completion may have any number."""
    return _DVTS_MAX_TOKENS if params.strategy == "dvts" else params.max_tokens


def pieces(text: str) -> list[str]:
    """Return the steps of a text as its PRM reads them: an empty one where it ends in a delimiter.

    They are not stripped.
    """
    return text.split(STEP_DELIMITER)


@dataclass(frozen=True, slots=True)
class Expand:
    """Continue a trajectory in n ways, and score them; siblings that read alike stay apart.

    With `lookahead`, the scores are those of the text that was rolled out so many steps further.
    """

    policy: Policy
    prm: PRM | None
    params: SearchParams

    async def __call__(
        self,
        parent: Trajectory,
        n: int,
        *,
        first: int = 0,
        to_end: bool = False,
        temperature: float | None = None,
        lookahead: int = 0,
    ) -> tuple[Trajectory, ...]:
        if temperature is None:
            temperature = self.params.temperature
        children = await self._sample(parent, n, temperature, first=first, to_end=to_end)
        if self.prm is None:
            return children
        read = await together(self._roll_out(child, lookahead) for child in children)
        return await self._score(self.prm, parent, children, [rolled.text for rolled in read])

    async def _sample(
        self,
        parent: Trajectory,
        n: int,
        temperature: float,
        *,
        first: int = 0,
        to_end: bool = False,
    ) -> tuple[Trajectory, ...]:
        return await sample(
            self.policy,
            self.params,
            parent,
            n,
            temperature,
            limit(self.params),
            first=first,
            subtree=self._subtree(parent.path or (first,)),
            to_end=to_end,
        )

    def _subtree(self, path: tuple[int, ...]) -> int:
        """Number the groups of M siblings among the first steps, as all requests name them."""
        return path[0] // self.params.m

    async def _roll_out(self, trajectory: Trajectory, lookahead: int) -> Trajectory:
        for _ in range(lookahead):
            if not trajectory.finished:
                (trajectory,) = await self._sample(trajectory, 1, temperature=0.0)
        return trajectory

    async def _score(
        self,
        prm: PRM,
        parent: Trajectory,
        children: tuple[Trajectory, ...],
        texts: list[str],
    ) -> tuple[Trajectory, ...]:
        """Score what is new in the texts: all but the whole steps of the parent."""
        known = tuple(pieces(parent.text)[:-1])
        items = tuple(tuple(pieces(text)[len(known) :]) for text in texts)
        subtree = self._subtree(children[0].path)
        reply = await prm(ScoreRequest(parent.problem, known, items, parent.path, subtree))
        before = parent.scores[: len(known)]
        return tuple(
            replace(
                child,
                scores=before + scores,
                value=reduce_scores(before + scores, self.params.reduction),
            )
            for child, scores in zip(children, reply.scores, strict=True)
        )


async def greedy(root: Trajectory, expand: Expand, params: SearchParams) -> tuple[Trajectory, ...]:
    """Return the one completion at T=0."""
    return await expand(root, 1, to_end=True, temperature=0.0)


async def best_of_n(
    root: Trajectory, expand: Expand, params: SearchParams
) -> tuple[Trajectory, ...]:
    """Return N whole completions, sampled M to a request."""
    completions = await together(
        expand(root, min(params.m, params.n - i), first=i, to_end=True)
        for i in range(0, params.n, params.m)
    )
    return tuple(chain.from_iterable(completions))


async def beam(root: Trajectory, expand: Expand, params: SearchParams) -> tuple[Trajectory, ...]:
    """Return all that beam search samples, in order.

    Goes on from the best N/M of the active beams, until none is left or `max_steps` is reached.
    The toolkit also goes on once N have finished, for nothing: the first N are its result.
    """
    kept, sampled, num_ended = [root], list[Trajectory](), 0
    for depth in range(1, params.max_steps + 1):
        level = await _fill(kept, expand, params.n, to_end=depth == params.max_steps)
        sampled += level
        active = [beam for beam in level if not ended(beam)]
        num_ended += params.n - len(active)
        if not active or num_ended >= params.n:
            break
        kept = _best(active, params.n // params.m)
    return tuple(sampled)


async def _fill(
    beams: list[Trajectory], expand: Expand, n: int, *, to_end: bool
) -> list[Trajectory]:
    """Expand N beams, the kept ones repeated in turn, and return the children in that order."""
    children = await together(
        expand(beam, len(range(place, n, len(beams))), to_end=to_end)
        for place, beam in enumerate(beams)
    )
    return [children[i % len(beams)][i // len(beams)] for i in range(n)]


def _best(active: list[Trajectory], width: int) -> list[Trajectory]:
    """Return the best beams in the order of the pool, the later among equals; 0 stands for all.

    Which of equals the toolkit keeps depends on the machine: NumPy's sort is not stable.
    """
    ranked = sorted(range(len(active)), key=lambda place: active[place].value)
    return [active[place] for place in sorted(ranked[-width:])]


async def dvts(root: Trajectory, expand: Expand, params: SearchParams) -> tuple[Trajectory, ...]:
    """Return all that the N/M subtrees sample, subtree by subtree."""
    subtrees = await together(
        _subtree(root, first, expand, params) for first in range(0, params.n, params.m)
    )
    return tuple(chain.from_iterable(subtrees))


async def _subtree(
    root: Trajectory, first: int, expand: Expand, params: SearchParams
) -> list[Trajectory]:
    best, sampled = root, list[Trajectory]()
    for depth in range(1, params.max_steps + 1):
        is_last = depth == params.max_steps
        steps = await expand(
            best,
            params.m,
            first=first if best is root else 0,
            to_end=is_last,
            lookahead=0 if is_last else params.lookahead,
        )
        sampled += steps
        best = max(steps, key=lambda step: step.value)
        if ended(best) or "boxed{" in best.text:
            break
    return sampled


SEARCHES: dict[
    Strategy, Callable[[Trajectory, Expand, SearchParams], Awaitable[tuple[Trajectory, ...]]]
] = {
    "greedy": greedy,
    "majority": best_of_n,
    "best-of-n": best_of_n,
    "beam": beam,
    "dvts": dvts,
}


async def search(
    root: Trajectory, policy: Policy, prm: PRM | None, params: SearchParams
) -> tuple[Trajectory, ...]:
    """Return every trajectory that the toolkit's search samples, in its order."""
    return await SEARCHES[params.strategy](root, Expand(policy, prm, params), params)
