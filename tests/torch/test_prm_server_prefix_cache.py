"""The prefix cache finds exactly the prefixes it holds, and stays within its bound."""

import torch

from ttc_servers.prm.encoded import BLOCK_TOKENS, Encoded
from ttc_servers.prm.prefix_cache import PrefixCache

BLOCK = torch.zeros(4, 2, BLOCK_TOKENS, 8)


def sequence(num_blocks: int, first_id: int = 0) -> Encoded:
    ids = range(first_id, first_id + num_blocks * BLOCK_TOKENS + 1)
    return Encoded(ids, [len(ids) - 1])


def test_a_block_is_named_by_everything_before_it():
    tail = list(range(1000, 1000 + BLOCK_TOKENS))
    one, other = (Encoded([first] * BLOCK_TOKENS + tail, ()).block_keys for first in (1, 2))
    assert len({*one, *other}) == 4


def test_what_is_read_is_never_taken_from_the_cache():
    ids = range(3 * BLOCK_TOKENS)
    assert len(Encoded(ids, [2 * BLOCK_TOKENS - 1]).keys) == 1
    assert len(Encoded(ids, [2 * BLOCK_TOKENS]).keys) == 2
    assert len(Encoded(ids, []).keys) == 2
    assert len(Encoded(ids, []).block_keys) == 3


def test_the_longest_prefix_is_found():
    cache = PrefixCache(100 * BLOCK.nbytes)
    keys = sequence(3).keys
    cache.put(keys[:2], [BLOCK, BLOCK + 1])
    assert cache.count(keys) == 2
    assert [block[0, 0, 0, 0] for block in cache.get(keys)] == [0, 1]
    assert cache.get(sequence(3, first_id=1).keys) == []


def test_the_bound_holds_and_the_least_recently_used_goes_first():
    cache = PrefixCache(5 * BLOCK.nbytes)
    old, used, new = (sequence(2, first_id).keys for first_id in (0, 1000, 2000))
    cache.put(old, [BLOCK] * 2)
    cache.put(used, [BLOCK] * 2)
    cache.put(used, [BLOCK] * 2)  # known blocks take no more room
    assert [cache.count(keys) for keys in (old, used)] == [2, 2]
    cache.get(old[:1])
    cache.get(used)
    cache.put(new, [BLOCK] * 2)
    assert [cache.count(keys) for keys in (old, used, new)] == [1, 2, 2]  # the leaf has gone
    cache.clear()
    assert [cache.count(keys) for keys in (old, used, new)] == [0, 0, 0]
