"""The forward pass of a Llama in numpy, over a paged key-value cache.

One call computes any mixture of prompts and single next tokens. A token's result depends on
nothing but the tokens before it: not on what else is in the call, nor on how much of its past was
computed before, because attention is summed over blocks at fixed positions and a matrix product
adds up each row in one order (given a BLAS kernel that does; see `launch`).
Knows nothing of requests, sampling or which block belongs to whom.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ttc_servers.embedded.weights import Array, LlamaConfig, read_config, read_tensors

BLOCK_SIZE = 64
"""Token positions per cache block."""

_MIN_ROWS = 8
"""Fewer rows would take other BLAS routines, which round otherwise."""

_CAP = np.float32(80)
"""Attention logits are cut here, so that `exp` needs no shift to stay within float32."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows `start:stop` of a call attend to `block`, the `index`-th of their sequences."""

    index: int
    block: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What one call computes: R tokens, each in the place where its keys and values go.

    `ids`, `positions`, `blocks` have shape [R]; `spans` hold what the rows attend to, ordered by
    row; `outputs` are the rows whose logits are wanted.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    blocks: NDArray[np.int64]
    spans: list[Span]
    outputs: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: Array  # [hidden, (heads + 2 * kv_heads) * head_size], input norm and 1/sqrt(d) folded in
    out: Array
    gate_up: Array  # [hidden, 2 * intermediate], post-attention norm folded in
    down: Array


class Llama:
    """A Llama and its key-value cache of `num_blocks` blocks."""

    def __init__(self, directory: Path, num_blocks: int) -> None:
        self.config = config = read_config(directory)
        tensors = read_tensors(directory / "model.safetensors")
        embedding = tensors["model.embed_tokens.weight"]
        head = embedding if config.tie_word_embeddings else tensors["lm_head.weight"]
        self._embedding = embedding
        self._head = np.ascontiguousarray((head * tensors["model.norm.weight"]).T)
        self._layers = [
            _layer(config, tensors, f"model.layers.{i}.") for i in range(config.num_hidden_layers)
        ]
        half = config.head_size // 2
        angles = np.outer(
            np.arange(config.max_position_embeddings),
            config.rope_base ** (-np.arange(half) / half),
        )
        self._rotations = np.exp(1j * angles).astype(np.complex64)[:, None, :]
        blocks = (config.num_hidden_layers, num_blocks, config.num_kv_heads)
        self._keys = np.zeros((*blocks, config.head_size, BLOCK_SIZE), np.float32)
        self._values = np.zeros((*blocks, BLOCK_SIZE, config.head_size), np.float32)
        # One view per layer and block: slicing anew for every product would cost as much again.
        self._key_views = [list(layer) for layer in self._keys]
        self._value_views = [list(layer) for layer in self._values]

    def copy_block(self, source: int, target: int, num_tokens: int) -> None:
        """Copy the first `num_tokens` positions of one block to another, in all layers."""
        self._keys[:, target, ..., :num_tokens] = self._keys[:, source, ..., :num_tokens]
        self._values[:, target, :, :num_tokens] = self._values[:, source, :, :num_tokens]

    @np.errstate(over="ignore")  # in `_mlp`: exp(-gate) = inf is a gate shut for good
    def forward(self, rows: Rows) -> Array:
        """Return logits [len(outputs), vocab] and keep all rows' keys and values."""
        if len(rows.ids) < _MIN_ROWS:
            rows = _padded(rows)
        attention = _Attention(self.config, rows)
        rotations = self._rotations[rows.positions]
        x = self._embedding[rows.ids]
        for i, layer in enumerate(self._layers):
            q, k, v = self._project(layer, x, rotations)
            offsets = rows.positions % BLOCK_SIZE
            self._keys[i][rows.blocks, ..., offsets] = k
            self._values[i][rows.blocks, :, offsets] = v
            x = x + attention(q, self._key_views[i], self._value_views[i]) @ layer.out
            x = x + _mlp(layer, self._normed(x))
        last = x[np.resize(rows.outputs, max(_MIN_ROWS, len(rows.outputs)))]
        return (self._normed(last) @ self._head)[: len(rows.outputs)]

    def _normed(self, x: Array) -> Array:
        mean = np.vecdot(x, x) / np.float32(x.shape[1])
        return x * (1 / np.sqrt(mean + np.float32(self.config.rms_norm_eps)))[:, None]

    def _project(
        self, layer: _Layer, x: Array, rotations: NDArray[np.complex64]
    ) -> tuple[Array, Array, Array]:
        """Return q [R, heads, d], k and v [R, kv_heads, d], rotated to their places."""
        heads, kv, d = (
            self.config.num_attention_heads,
            self.config.num_kv_heads,
            self.config.head_size,
        )
        qkv = (self._normed(x) @ layer.qkv).reshape(len(x), heads + 2 * kv, d)
        qk = (qkv[:, : heads + kv].view(np.complex64) * rotations).view(np.float32)
        return qk[:, :heads], qk[:, heads:], qkv[:, heads + kv :]


class _Attention:
    """Attention of one call's rows, the same spans and mask in every layer."""

    def __init__(self, config: LlamaConfig, rows: Rows) -> None:
        heads, kv, d = config.num_attention_heads, config.num_kv_heads, config.head_size
        group = heads // kv
        num_blocks = 1 + max(span.index for span in rows.spans)
        height = len(rows.ids) * group
        key_positions = np.arange(num_blocks * BLOCK_SIZE).reshape(num_blocks, 1, BLOCK_SIZE)
        visible = key_positions <= np.repeat(rows.positions, group)[:, None]
        self._cap = np.where(visible, _CAP, np.float32(-np.inf))[:, None]
        self._q = np.empty((kv, height, d), np.float32)
        # What no span writes stays zero throughout.
        self._weights = np.zeros((num_blocks, kv, height, BLOCK_SIZE), np.float32)
        self._sums = np.zeros((num_blocks, kv, height, d), np.float32)
        self._views: list[tuple[int, Array, Array, Array]] = []
        for span in rows.spans:
            place = slice(span.start * group, span.stop * group)
            weights, sums = (a[span.index, :, place] for a in (self._weights, self._sums))
            self._views.append((span.block, self._q[:, place], weights, sums))

    def __call__(self, q: Array, keys: list[Array], values: list[Array]) -> Array:
        """Return the heads' outputs [R, heads * d] for q [R, heads, d]."""
        num_rows, heads, d = q.shape
        kv = len(self._q)
        by_kv_head = (kv, num_rows, heads // kv, d)
        self._q.reshape(by_kv_head)[:] = q.reshape(num_rows, kv, -1, d).swapaxes(0, 1)
        for block, q_part, weights, _ in self._views:
            np.matmul(q_part, keys[block], out=weights)
        np.minimum(self._weights, self._cap, out=self._weights)
        np.exp(self._weights, out=self._weights)
        for block, _, weights, sums in self._views:
            np.matmul(weights, values[block], out=sums)
        total = self._weights.sum(-1).sum(0)
        outputs = self._sums.sum(0) / total[:, :, None]
        return outputs.reshape(by_kv_head).swapaxes(0, 1).reshape(num_rows, heads * d)


def _layer(config: LlamaConfig, tensors: dict[str, Array], prefix: str) -> _Layer:
    heads, kv, d = config.num_attention_heads, config.num_kv_heads, config.head_size

    def weight(name: str) -> Array:
        return tensors[f"{prefix}{name}.weight"]

    def paired(matrix: Array, num_heads: int) -> Array:
        """Move each rotated pair (i, i + d/2) together, to be read as one complex number."""
        halves = matrix.reshape(num_heads, 2, d // 2, -1)
        return halves.swapaxes(1, 2).reshape(matrix.shape)

    q = paired(weight("self_attn.q_proj"), heads) * np.float32(d**-0.5)
    k = paired(weight("self_attn.k_proj"), kv)
    qkv = np.concatenate([q, k, weight("self_attn.v_proj")]) * weight("input_layernorm")
    gate_up = np.concatenate([weight("mlp.gate_proj"), weight("mlp.up_proj")])
    return _Layer(
        qkv=np.ascontiguousarray(qkv.T),
        out=np.ascontiguousarray(weight("self_attn.o_proj").T),
        gate_up=np.ascontiguousarray((gate_up * weight("post_attention_layernorm")).T),
        down=np.ascontiguousarray(weight("mlp.down_proj").T),
    )


def _mlp(layer: _Layer, x: Array) -> Array:
    gate_up = x @ layer.gate_up
    width = gate_up.shape[1] // 2
    gate, up = gate_up[:, :width], gate_up[:, width:]
    shut = np.exp(-gate)
    shut += 1
    np.divide(up, shut, out=shut)
    shut *= gate
    return shut @ layer.down


def _padded(rows: Rows) -> Rows:
    """Repeat the last row until there are enough; it writes the same keys and values again."""
    missing = _MIN_ROWS - len(rows.ids)
    end = len(rows.ids)
    return Rows(
        *(np.pad(a, (0, missing), "edge") for a in (rows.ids, rows.positions, rows.blocks)),
        [
            Span(s.index, s.block, s.start, _MIN_ROWS if s.stop == end else s.stop)
            for s in rows.spans
        ],
        rows.outputs,
    )
