"""Particle filtering: partial solutions, resampled by how sure the verifier is of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.resampling import resampled
from ttc_client.search.results import merge_picks
from ttc_client.search.search import Search
from ttc_client.search.strategy import Strategy, multiples
from ttc_client.together import surviving
from ttc_client.types import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticleSettings(StrategySettings):
    """Variants of the particle filter."""

    temper: bool = field(
        default=False,
        metadata={"help": "Resample few particles more evenly at small depths (entropic variant)."},
    )
    gibbs: int = field(
        default=1,
        metadata={
            "help": "Filter this many times, N/K particles each, one of which is kept from the "
            "time before."
        },
    )

    def __post_init__(self) -> None:
        check_count("gibbs", self.gibbs)


def _in_parts_of_two(
    params: SearchParams, settings: ParticleSettings, grid: Sequence[int]
) -> Sequence[int]:
    """Return the budgets that `gibbs` divides, with a particle besides the reference."""
    return multiples(
        params, grid, "gibbs", settings.gibbs, least=min(2, settings.gibbs) * settings.gibbs
    )


async def particles(search: Search[ParticleSettings]) -> Found:
    """Filter N particles (Puri et al. 2025, arXiv 2502.01618).

    With `gibbs` K, filter N/K of them K times, each time with one of the time before as a
    reference, and let all of them vote. A completion has as many votes as copies.
    """
    sampled: dict[tuple[int, ...], Trajectory] = {}
    ended: list[Pick] = []
    reference: Trajectory | None = None
    for _ in range(search.settings.gibbs):
        cloud = await _filtered(search, reference, sampled)
        weights = [particle.votes * (particle.weight or 0.0) for particle in cloud]
        reference = search.rng.choices(cloud, weights)[0].trajectory
        ended += cloud
    picks = merge_picks(ended)
    note = f"{search.params.n} particles ended as {len(picks)} distinct completion"
    note += "s" * (len(picks) > 1)
    return Found(tuple(sampled.values()), picks, note)


async def _filtered(
    search: Search[ParticleSettings],
    reference: Trajectory | None,
    sampled: dict[tuple[int, ...], Trajectory],
) -> Sequence[Pick]:
    """Extend all particles by a step and resample them, until all have ended.

    Each depth waits for all of its rewards, since weights compare them. The reference is the last.
    """
    size = search.params.n // search.settings.gibbs
    kept = [] if reference is None else [Pick(search.root)]
    cloud = [Pick(search.root, size - len(kept)), *kept]
    depth = 0
    while any(not particle.trajectory.finished for particle in cloud):
        depth += 1
        free = cloud[: len(cloud) - len(kept)]
        ended = [p for p in free if p.trajectory.finished]
        expand = partial(search.expand, until=search.until(depth))
        groups = await surviving(
            (expand(p.trajectory, int(p.votes)) for p in free if not p.trajectory.finished),
            needed=not ended and not kept,
        )
        steps = tuple(chain.from_iterable(groups))
        sampled.update((step.path, step) for step in steps)
        kept = [] if reference is None else [Pick(sampled[reference.path[:depth]])]
        free = [*ended, *(Pick(step, step.multiplicity) for step in steps)]
        early = 1 - depth / search.params.max_steps if search.settings.temper else 0.0
        cloud = resampled(free, kept, size, search.rng, early=early)
    return cloud


PARTICLES = Strategy(
    name="particles",
    about="N partial solutions, copied and dropped at each step by their odds of being right",
    search=particles,
    settings=ParticleSettings,
    budgets=_in_parts_of_two,
    takes_m=False,
)
