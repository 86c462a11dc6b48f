"""The prefix cache: which block of the key-value cache holds which tokens.

Blocks form a tree: a block is known by its parent and its tokens. Full blocks are shared between
sequences; of a block that agrees only in its first tokens, those can be copied. Blocks that
nobody uses stay until their room is needed, the longest unused first.
Knows nothing of what a block's memory looks like.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np

ROOT = -1
"""The parent of a sequence's first block."""


class BlockCache:
    """Keeps account of `num_blocks` blocks of `block_size` tokens."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.block_size = block_size
        self._tokens = np.full((num_blocks, block_size), -1, np.int32)
        self._users = [0] * num_blocks
        self._parents: dict[int, int] = {}  # of the blocks that can be found
        self._children: dict[int, set[int]] = {}
        self._full: dict[tuple[int, bytes], int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict()  # a child before its parent
        self._blank = deque(range(num_blocks))

    @property
    def num_available(self) -> int:
        """Blocks that `allocate` can still give."""
        return len(self._blank) + len(self._unused)

    def match(self, ids: Sequence[int]) -> tuple[list[int], tuple[int, int]]:
        """Find the longest known beginning of `ids`.

        Returns the full blocks, which the caller now uses and must release, and a block of whose
        first tokens so many can be copied, `(ROOT, 0)` if there is none.
        """
        wanted = np.asarray(ids, np.int32)
        blocks: list[int] = []
        parent = ROOT
        for start in range(0, len(wanted) - self.block_size + 1, self.block_size):
            key = (parent, wanted[start : start + self.block_size].tobytes())
            block = self._full.get(key, ROOT)
            if block == ROOT:
                break
            self.retain(block)
            blocks.append(block)
            parent = block
        rest = wanted[len(blocks) * self.block_size :][: self.block_size]
        return blocks, self._best_child(parent, rest)

    def _best_child(self, parent: int, rest: np.ndarray) -> tuple[int, int]:
        children = list(self._children.get(parent, ()))
        if not children or not len(rest):
            return ROOT, 0
        same = self._tokens[children, : len(rest)] == rest
        lengths = np.logical_and.accumulate(same, axis=1).sum(axis=1)
        best = int(lengths.argmax())
        return (children[best], int(lengths[best])) if lengths[best] else (ROOT, 0)

    def allocate(self) -> int:
        """Give an empty block to the caller, forgetting the longest unused one if need be."""
        if self._blank:
            block = self._blank.popleft()
        else:
            block, _ = self._unused.popitem(last=False)
            self._forget(block)
        self._users[block] = 1
        return block

    def register(self, block: int, parent: int, ids: Sequence[int]) -> int:
        """Make a block findable; return the block that holds these tokens below this parent.

        Where another full block already does, the caller uses that one from now on.
        """
        row = np.full(self.block_size, -1, np.int32)
        row[: len(ids)] = ids
        if len(ids) == self.block_size:
            known = self._full.setdefault((parent, row.tobytes()), block)
            if known != block:
                self.retain(known)
                self.release([block])
                return known
        self._tokens[block] = row
        self._parents[block] = parent
        self._children.setdefault(parent, set()).add(block)
        return block

    def retain(self, block: int) -> None:
        """Count one more user of a block."""
        self._users[block] += 1
        self._unused.pop(block, None)

    def release(self, blocks: Sequence[int]) -> None:
        """Count one user less of each block of a sequence, given from the first to the last."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if self._users[block] == 0:
                if block in self._parents:
                    self._unused[block] = None
                else:
                    self._blank.append(block)

    def _forget(self, block: int) -> None:
        parent = self._parents.pop(block)
        siblings = self._children[parent]
        siblings.discard(block)
        if not siblings:
            del self._children[parent]
        self._full.pop((parent, self._tokens[block].tobytes()), None)
