"""Keys and values of prefixes seen lately, so that a search computes only what is new.

A prefix is kept in blocks; sequences that begin alike share them. Knows nothing of models.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor


class PrefixCache:
    """At most `max_bytes` of blocks, the least recently used dropped first.

    A block is a tensor [2 * layers, heads, BLOCK_TOKENS, width]: the keys, then the values.
    Its key names all tokens up to its end (`Encoded.keys`), so a block fits exactly one prefix.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._blocks: OrderedDict[bytes, Tensor] = OrderedDict()

    def __bool__(self) -> bool:
        return self._max_bytes > 0

    def count(self, keys: Sequence[bytes]) -> int:
        """Return how many of these blocks, from the first on, are here."""
        return next((i for i, key in enumerate(keys) if key not in self._blocks), len(keys))

    def get(self, keys: Sequence[bytes]) -> list[Tensor]:
        """Return the blocks that are here, from the first on, and mark them as used."""
        found = keys[: self.count(keys)]
        for key in reversed(found):  # a prefix must outlive what continues it
            self._blocks.move_to_end(key)
        return [self._blocks[key] for key in found]

    def put(self, keys: Sequence[bytes], blocks: Sequence[Tensor]) -> None:
        """Keep blocks that follow each other."""
        for key, block in zip(reversed(keys), reversed(blocks), strict=True):
            if key not in self._blocks:
                self._blocks[key] = block
                self._bytes += block.nbytes
            self._blocks.move_to_end(key)
        while self._bytes > self._max_bytes:
            self._bytes -= self._blocks.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Drop everything."""
        self._blocks.clear()
        self._bytes = 0
