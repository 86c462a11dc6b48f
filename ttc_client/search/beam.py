"""Beam search over steps, guided by a verifier."""

from collections.abc import Sequence

from ttc_client.errors import ServerError
from ttc_client.search.found import Found
from ttc_client.search.search import Search
from ttc_client.search.stepwise import (
    StepwiseSettings,
    best_first,
    multiples_of_m,
    num_completions,
    with_lookahead,
)
from ttc_client.search.strategy import Strategy
from ttc_client.together import in_order
from ttc_client.types import Trajectory


async def beam(search: Search[StepwiseSettings]) -> Found:
    """Keep the best N/M of all partial solutions at each depth (the post, "Beam search").

    1. Sample N first steps. 2. Score them. 3. Keep the best N/M unfinished. 4. Sample M next
    steps from each. Repeat 2 to 4 until N completions exist, none is left unfinished, or
    `max_steps` is reached; the last step of all runs to the end.
    """
    params, lookahead = search.params, search.settings.lookahead
    level: Sequence[Trajectory] = await search.expand(
        search.root, params.n, until=search.until(1), lookahead=lookahead
    )
    sampled = list(level)
    for depth in range(2, params.max_steps + 1):
        kept = sorted((t for t in level if not t.finished), key=best_first)
        missing = params.n - num_completions(sampled)
        if not kept or missing <= 0:
            break
        try:
            level = await _expand_all(search, kept[: params.n // params.m], depth, missing)
        except ServerError:
            if not num_completions(sampled):
                raise
            break  # every beam failed, and what has ended stands
        sampled += level
    return Found(sampled, search.completions(sampled))


async def _expand_all(
    search: Search[StepwiseSettings], beams: Sequence[Trajectory], depth: int, missing: int
) -> list[Trajectory]:
    """Expand all beams at once, and gather their children from the best beam down.

    When these hold the completions still missing, the requests of the beams below are closed:
    the outcome depends on the ranking alone, never on which answer came first.
    """
    level: list[Trajectory] = []
    expansions = [
        search.expand(
            beam,
            search.params.m,
            until=search.until(depth),
            lookahead=search.settings.lookahead,
        )
        for beam in beams
    ]
    try:
        async with in_order(expansions) as children:
            async for siblings in children:
                level += siblings
                if num_completions(level) >= missing:
                    break
    except ServerError:
        if missing == search.params.n:  # else some have come to their end
            raise
    return level


BEAM = Strategy(
    name="beam",
    about="keeps the best N/M partial solutions, expands each M ways",
    search=beam,
    settings=StepwiseSettings,
    budgets=multiples_of_m,
    spends=with_lookahead,
)
