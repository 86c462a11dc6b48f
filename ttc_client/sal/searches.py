"""The toolkit's best-of-n, beam search and DVTS. What they depart in is listed in the package."""

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice
from typing import Any

from ttc_client.errors import TTCError
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest, Verifier
from ttc_client.search.rewards import reward_of
from ttc_client.search.search import Search
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.together import together
from ttc_client.types import Trajectory

_DVTS_MAX_TOKENS = 2048
_WHY_ALL = "--compat sal searches with all of them or not at all, as the toolkit does"


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


def expand(
    search: Search[Any],
    parent: Trajectory,
    n: int,
    *,
    to_end: bool = False,
    temperature: float | None = None,
    lookahead: int = 0,
) -> Coroutine[Any, Any, list[Trajectory]]:
    """Continue a trajectory in n ways, and score them; siblings that read alike stay apart.

    With `lookahead`, the scores are those of the text rolled out that many steps further.
    """
    first = search.numbers.take(parent.path, n)
    return _expand(search, parent, n, first, to_end, temperature, lookahead)


async def _expand(
    search: Search[Any],
    parent: Trajectory,
    n: int,
    first: int,
    to_end: bool,
    temperature: float | None,
    lookahead: int,
) -> list[Trajectory]:
    watch = search.ports.watch
    watch.launched(parent, n)
    try:
        children = await search.sample(
            parent,
            n,
            limit(search.params),
            first=first,
            until="end" if to_end else "step",
            temperature=temperature,
        )
        if len(children) < n:
            raise TTCError(f"{n - len(children)} of {n} continuations failed: {_WHY_ALL}")
        if search.verifier is not None:
            read = await together(_roll_out(search, child, lookahead) for child in children)
            texts = [rolled.text for rolled in read]
            children = await _score(search, search.verifier, parent, children, texts)
    except BaseException:
        watch.dropped(parent, n)
        raise
    watch.sampled(parent, n, children)
    return children


async def _roll_out(search: Search[Any], trajectory: Trajectory, lookahead: int) -> Trajectory:
    for _ in range(lookahead):
        if not trajectory.finished:
            (trajectory,) = await search.sample(
                trajectory, 1, limit(search.params), first=-1, temperature=0.0
            )
    return trajectory


async def _score(
    search: Search[Any],
    verifier: Verifier,
    parent: Trajectory,
    children: Sequence[Trajectory],
    texts: Sequence[str],
) -> list[Trajectory]:
    """Score what is new in the texts: all but the whole steps of the parent."""
    known = tuple(pieces(parent.text)[:-1])
    items = tuple(tuple(pieces(text)[len(known) :]) for text in texts)
    steps = tuple(child.steps for child in children)
    session = search.session(children[0].path)
    reply = await verifier(ScoreRequest(search.problem, known, items, steps, parent.path, session))
    before = parent.scores[: len(known)]
    rewards = [reward_of(before + scores, search.params.reduction) for scores in reply.scores]
    if missing := rewards.count(None):
        raise TTCError(f"{missing} of {len(rewards)} scores are missing: {_WHY_ALL}")
    return [
        replace(child, scores=before + scores, value=reward)
        for child, scores, reward in zip(children, reply.scores, rewards, strict=True)
    ]


def _found(
    search: Search[Any], sampled: Sequence[Trajectory], picked: Sequence[Trajectory]
) -> Found:
    """Return the candidates one by one, with what the search without `--compat` would not take."""
    counts = {
        "are copies of others": len(picked) - len({t.path for t in picked}),
        "had not come to an end": sum(t.finish == "stop" for t in picked),
        "were cut by a token limit": sum(t.finish == "length" for t in picked),
        "give no answer": sum(not search.ports.ballot.extract(t.text) for t in picked),
    }
    reasons = [f"{number} {what}" for what, number in counts.items() if number]
    note = f"of {len(picked)} candidates, all of which vote: " + "; ".join(reasons)
    return Found(sampled, [Pick(t) for t in picked], note if reasons else "")


async def greedy(search: Search[Any]) -> Found:
    """Return the one completion at T=0."""
    sampled = await expand(search, search.root, 1, to_end=True, temperature=0.0)
    return _found(search, sampled, sampled)


async def best_of_n(search: Search[Any]) -> Found:
    """Return N whole completions, sampled M to a request."""
    n, m = search.params.n, search.params.m
    groups = await together(
        expand(search, search.root, min(m, n - i), to_end=True) for i in range(0, n, m)
    )
    sampled = tuple(chain.from_iterable(groups))
    return _found(search, sampled, sampled)


async def beam(search: Search[Any]) -> Found:
    """Return the first N beams that ended, over and over where they are fewer.

    Goes on from the best N/M of the active beams, until none is left or `max_steps` is reached.
    The toolkit also goes on once N have finished, for nothing: the first N are its result.
    """
    params = search.params
    kept, sampled, num_ended = [search.root], list[Trajectory](), 0
    for depth in range(1, params.max_steps + 1):
        level = await _fill(search, kept, to_end=depth == params.max_steps)
        sampled += level
        active = [beam for beam in level if not ended(beam)]
        num_ended += params.n - len(active)
        if not active or num_ended >= params.n:
            break
        kept = _best(active, params.n // params.m)
    finished = cycle(beam for beam in sampled if ended(beam))
    return _found(search, sampled, list(islice(finished, params.n)))


async def _fill(
    search: Search[Any], beams: Sequence[Trajectory], *, to_end: bool
) -> list[Trajectory]:
    """Expand N beams, the kept ones repeated in turn, and return the children in that order."""
    n = search.params.n
    children = await together(
        expand(search, beam, len(range(place, n, len(beams))), to_end=to_end)
        for place, beam in enumerate(beams)
    )
    return [children[i % len(beams)][i // len(beams)] for i in range(n)]


def _best(active: list[Trajectory], width: int) -> list[Trajectory]:
    """Return the best beams in the order of the pool, the later among equals; 0 stands for all.

    Which of equals the toolkit keeps depends on the machine: NumPy's sort is not stable.
    """
    ranked = sorted(range(len(active)), key=lambda place: active[place].value)
    return [active[place] for place in sorted(ranked[-width:])]


async def dvts(search: Search[StepwiseSettings]) -> Found:
    """Return the last M siblings of each of the N/M subtrees, finished or not."""
    params = search.params
    subtrees = await together(_subtree(search) for _ in range(params.n // params.m))
    deepest = [t for grown in subtrees for t in grown if len(t.path) == len(grown[-1].path)]
    return _found(search, tuple(chain.from_iterable(subtrees)), deepest)


async def _subtree(search: Search[StepwiseSettings]) -> list[Trajectory]:
    best, sampled = search.root, list[Trajectory]()
    for depth in range(1, search.params.max_steps + 1):
        is_last = depth == search.params.max_steps
        lookahead = 0 if is_last else search.settings.lookahead
        steps = await expand(search, best, search.params.m, to_end=is_last, lookahead=lookahead)
        sampled += steps
        best = max(steps, key=lambda step: step.value)
        if ended(best) or "boxed{" in best.text:
            break
    return sampled
