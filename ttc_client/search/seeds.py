"""The number of each child, and the seed that follows from its place in the tree."""

import hashlib
from dataclasses import dataclass, field

from ttc_client.search.params import SearchParams


@dataclass(slots=True)
class Numbers:
    """The next child's number, by the path of its parent; a part has a range of the root's."""

    next: dict[tuple[int, ...], int] = field(default_factory=dict[tuple[int, ...], int])
    last: int | None = None

    def take(self, path: tuple[int, ...], count: int) -> int:
        """Return the number of the first of `count` new children."""
        first = self.next.get(path, 0)
        if not path and self.last is not None and first + count > self.last:
            raise ValueError("a part of a search expands its root into more than its n")
        self.next[path] = first + count
        return first


def request_seed(
    params: SearchParams, problem: str, parent: tuple[int, ...], first: int
) -> int | None:
    """Return the seed of the children of a parent's path from `first` on; None: send none.

    `problem` is its key. Servers add a child's index to the seed. 52 bits, so that it survives JSON
    readers that keep numbers as doubles, and no two requests of a run are likely to share a
    child's seed.
    """
    if not params.seeds:
        return None
    place = repr((params.seed, problem, parent, first)).encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest()) >> 12
