"""A solution as tokens, with the positions at which its scores are read."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

BLOCK_TOKENS = 32
"""Prefixes are kept and found in whole blocks of this many tokens."""


@dataclass(frozen=True)
class Encoded:
    """One sequence for the model, and the positions at which its scores are read, ascending.

    `types` are the token types of an encoder that tells two texts apart; otherwise empty.
    """

    ids: Sequence[int]
    reads: Sequence[int]
    types: Sequence[int] = ()

    @cached_property
    def keys(self) -> list[bytes]:
        """Name each whole block that may come from a cache by all tokens up to its end.

        The first position that is read, or else the last one, is always left to compute.
        """
        first = self.reads[0] if self.reads else len(self.ids) - 1
        return self.block_keys[: first // BLOCK_TOKENS]

    @cached_property
    def block_keys(self) -> list[bytes]:
        """Name each whole block of the sequence by all tokens up to its end."""
        keys, key = [], b""
        for end in range(BLOCK_TOKENS, len(self.ids) + 1, BLOCK_TOKENS):
            block = array("q", self.ids[end - BLOCK_TOKENS : end]).tobytes()
            key = hashlib.blake2b(key + block, digest_size=16).digest()
            keys.append(key)
        return keys
