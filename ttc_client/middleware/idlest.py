"""Which of many has the least load, without a look at each: a heap of lower bounds."""

from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Generic, Protocol, TypeVar

_ENTRIES_EACH = 8
"""With more entries for each member, those that do not count are thrown out."""


class Loaded(Protocol):
    """What has a load, from 0 on."""

    def load(self) -> float: ...


L = TypeVar("L", bound=Loaded)


class Idlest(Generic[L]):
    """Those among which the idlest is looked for.

    A load that rises leaves its bound as it is, until the bound comes to the top and is put right;
    one that falls has to be told (`lowered`). Each member has one entry that counts; the others
    are passed over.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, L]] = []
        self._entries: dict[L, tuple[float, int]] = {}
        self._numbers = count()

    def add(self, one: L) -> None:
        """Look at one more, behind those with the same load."""
        self._entries[one] = entry = one.load(), next(self._numbers)
        heappush(self._heap, (*entry, one))
        if len(self._heap) > _ENTRIES_EACH * (len(self._entries) + 1):
            self._heap = [(*entry, one) for one, entry in self._entries.items()]
            heapify(self._heap)

    def drop(self, one: L) -> None:
        """Look at one no longer."""
        self._entries.pop(one, None)

    def lowered(self, one: L) -> None:
        """Note that a load may have fallen."""
        entry = self._entries.get(one)
        if entry and one.load() <= entry[0]:
            self.add(one)

    def least(self) -> L | None:
        """Return the one with the least load, None where there is none."""
        while self._heap:
            bound, number, one = self._heap[0]
            if self._entries.get(one) != (bound, number):
                heappop(self._heap)
            elif (load := one.load()) <= bound:
                return one
            else:
                self._entries[one] = entry = load, next(self._numbers)
                heapreplace(self._heap, (*entry, one))
        return None
