"""The seed of each request: from the run's seed, the problem, and the place in the tree."""

import hashlib

from ttc_client.search.params import SearchParams
from ttc_client.types import Problem


def request_seed(
    params: SearchParams, problem: Problem, parent: tuple[int, ...], first: int
) -> int | None:
    """Return the seed of the children of a parent's path from `first` on; None: send none.

    Servers add a child's index to it. 52 bits, so that it survives JSON readers that keep
    numbers as doubles, and no two requests of a run are likely to share a child's seed.
    """
    if not params.seeds:
        return None
    place = repr((params.seed, problem.key, parent, first)).encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest()) >> 12
