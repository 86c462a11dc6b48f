"""One model on one device: sequences in, scores out, prefixes computed once.

Every pass takes a padded batch of what is new in each sequence, behind the keys and values of
its cached prefix. Prefixes are padded on the left and new tokens on the right, so that the
tokens of a sequence lie side by side and sliding windows hold. Knows nothing of requests.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from ttc_servers.prm.adapters import Adapter
from ttc_servers.prm.encoded import BLOCK_TOKENS, Encoded
from ttc_servers.prm.prefix_cache import PrefixCache

REUSABLE = {"llama", "mistral", "qwen2", "qwen3"}
"""Model types whose whole state is one key and one value per layer, head and token."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one sequence, and how many of its tokens the cache already held."""

    scores: list[float]
    cached_tokens: int


class Replica:
    """A model on a device, with at most `cache_bytes` of prefixes kept (0: none)."""

    def __init__(self, model: Any, adapter: Adapter, cache_bytes: int) -> None:
        if adapter.head:
            getattr(model, adapter.head).float()
        reusable = adapter.causal and model.config.model_type in REUSABLE
        self.model = model.eval()
        self._adapter = adapter
        self._pad = model.config.pad_token_id or 0
        self._cache = PrefixCache(cache_bytes if reusable else 0)

    def num_new(self, sequence: Encoded) -> int:
        """Return how many tokens of a sequence would have to be computed."""
        return len(sequence.ids) - BLOCK_TOKENS * self._cache.count(sequence.keys)

    @torch.inference_mode()
    def score(self, sequences: Sequence[Encoded]) -> list[Scored]:
        """Score a batch; one that does not fit into memory is halved until it does."""
        cached = [len(sequence.ids) - self.num_new(sequence) for sequence in sequences]
        try:
            if not self._adapter.causal:
                scores = self._score_whole(sequences)
            else:
                if shared := self._shared_prefixes(sequences):
                    self._score_new(shared)
                scores = self._score_new(sequences)
        except torch.OutOfMemoryError:
            if len(sequences) == 1:
                raise
        else:
            return [Scored(*pair) for pair in zip(scores, cached, strict=True)]
        self._cache.clear()
        torch.cuda.empty_cache()
        half = len(sequences) // 2
        return self.score(sequences[:half]) + self.score(sequences[half:])

    def _shared_prefixes(self, sequences: Sequence[Encoded]) -> list[Encoded]:
        """Return the longest prefixes that several sequences share and the cache lacks."""
        if not self._cache:
            return []
        uses = Counter(key for sequence in sequences for key in sequence.keys)
        shared: dict[bytes, Encoded] = {}
        for sequence in sequences:
            depth = sum(uses[key] > 1 for key in sequence.keys)
            if depth > self._cache.count(sequence.keys):
                prefix = Encoded(sequence.ids[: depth * BLOCK_TOKENS], ())
                shared[sequence.keys[depth - 1]] = prefix
        return list(shared.values())

    def _score_new(self, sequences: Sequence[Encoded]) -> list[list[float]]:
        """Run the model on what is new in each sequence; keep its keys and values."""
        blocks = [self._cache.get(sequence.keys) for sequence in sequences]
        starts = [BLOCK_TOKENS * len(prefix) for prefix in blocks]
        past = max(starts)
        new = [s.ids[start:] for s, start in zip(sequences, starts, strict=True)]
        mask = [
            [0] * (past - start) + [1] * (start + len(ids))
            for ids, start in zip(new, starts, strict=True)
        ]
        positions = [range(start, start + len(ids)) for ids, start in zip(new, starts, strict=True)]
        output = self.model.base_model(
            input_ids=self._padded(new, self._pad),
            attention_mask=self._padded(mask, 0),
            position_ids=self._padded(positions, 0),
            past_key_values=self._past(blocks, past) if self._cache else None,
            use_cache=bool(self._cache),
        )
        if self._cache:
            self._keep(sequences, starts, output.past_key_values, past)
        rows = [i for i, sequence in enumerate(sequences) for _ in sequence.reads]
        columns = [
            read - start for s, start in zip(sequences, starts, strict=True) for read in s.reads
        ]
        if not rows:
            return [[] for _ in sequences]
        hidden = output.last_hidden_state[rows, columns].float()
        scores = iter(self._adapter.score(self.model, hidden).tolist())
        return [[next(scores) for _ in sequence.reads] for sequence in sequences]

    def _score_whole(self, sequences: Sequence[Encoded]) -> list[list[float]]:
        """Run a model that sees a sequence whole, and reads one score of it."""
        inputs = {
            "input_ids": self._padded([sequence.ids for sequence in sequences], self._pad),
            "attention_mask": self._padded([[1] * len(s.ids) for s in sequences], 0),
        }
        if sequences[0].types:
            inputs["token_type_ids"] = self._padded([s.types for s in sequences], 0)
        return [[score] for score in self._adapter.score_whole(self.model, **inputs).tolist()]

    def _padded(self, rows: Sequence[Sequence[int]], value: int) -> Tensor:
        width = max(map(len, rows))
        padded = [[*row, *[value] * (width - len(row))] for row in rows]
        return torch.tensor(padded, device=self.model.device)

    def _past(self, blocks: Sequence[Sequence[Tensor]], past: int) -> DynamicCache:
        """Return the cached prefixes, [rows, heads, past, width] a layer, padded on the left."""
        if not past:
            return DynamicCache()
        any_block = next(prefix[0] for prefix in blocks if prefix)
        planes, heads, _, width = any_block.shape
        states = any_block.new_zeros(planes, len(blocks), heads, past, width)
        for row, prefix in enumerate(blocks):
            if prefix:
                states[:, row, :, past - len(prefix) * BLOCK_TOKENS :] = torch.cat(prefix, dim=-2)
        keys, values = states.chunk(2)
        return DynamicCache(zip(keys, values, strict=True))

    def _keep(
        self, sequences: Sequence[Encoded], starts: Sequence[int], cache: DynamicCache, past: int
    ) -> None:
        """Put the whole blocks among the new tokens into the cache."""
        states = [layer.keys[:, :, past:] for layer in cache.layers]
        states += [layer.values[:, :, past:] for layer in cache.layers]
        new = torch.stack(states)  # [2 * layers, rows, heads, new tokens, width]
        for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
            keys = sequence.block_keys[start // BLOCK_TOKENS :]
            whole = new[:, row, :, : len(keys) * BLOCK_TOKENS].split(BLOCK_TOKENS, dim=-2)
            if keys:
                self._cache.put(keys, [block.clone() for block in whole])
