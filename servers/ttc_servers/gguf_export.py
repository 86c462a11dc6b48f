"""Export a model to a GGUF file, for llama.cpp: `python -m ttc_servers.gguf_export DIR FILE`.

Reads the Llamas that the embedded server reads, and needs the package `gguf`. llama.cpp knows the
pre-tokenizers of some published models by name, and no others. So a tokenizer is exported in the
other way that llama.cpp has, SentencePiece's, which splits no text beforehand: it merges the same
pairs in the same order, and differs only where tokens would cross what the pre-tokenizer splits.
A tokenizer that differs on more than a few of DemoMath's problems and solutions is refused; the
demo models' does on sums of fractions.
"""

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

from ttc_servers.demomath import fixed_process_set
from ttc_servers.embedded.weights import Array, LlamaConfig, read_config, read_tensors

_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_NUM_CHECKED, _MOST_OTHER = 25, 0.2
_SPACE = "▁"
"""How SentencePiece writes a space."""
_NORMAL, _CONTROL, _BYTE = 1, 3, 6
"""Kinds of tokens, as llama.cpp numbers them."""


def export(folder: Path, file: Path) -> None:
    """Write a model and its tokenizer; raises ValueError for what llama.cpp would misread."""
    import gguf

    config = read_config(folder)
    tokens, scores, kinds = read_vocabulary(folder / "tokenizer.json")
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name(folder.name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_size)
    writer.add_value_length(config.head_size)
    writer.add_rope_dimension_count(config.head_size)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.encode() for token in tokens])
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(tokens.index("<|begin_of_text|>"))
    writer.add_eos_token_id(min(config.eos_ids))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    if template := json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template"):
        writer.add_chat_template(template)
    for name, tensor in read_tensors(folder / "model.safetensors").items():
        writer.add_tensor(*_renamed(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_vocabulary(file: Path) -> tuple[list[str], list[float], list[int]]:
    """Return the tokens of a byte-level BPE, the score of each, and its kind.

    Of two pairs the one that was learnt first is merged first, so its token scores higher. Raises
    ValueError for another tokenizer, and for one by which llama.cpp would read other tokens.
    """
    from tokenizers import Tokenizer

    said: dict[str, Any] = json.loads(file.read_text())
    tokenizer = Tokenizer.from_file(str(file))
    if said["model"]["type"] != "BPE" or tokenizer.pre_tokenizer is None or said["normalizer"]:
        raise ValueError(f"{file}: only a byte-level BPE without a normalizer can be exported")
    bytes_of = _bytes_of_characters()
    special = {token["content"] for token in said["added_tokens"]}
    merges = said["model"]["merges"]
    rank = {"".join(merges[i]): i for i in reversed(range(len(merges)))}
    tokens: list[str] = []
    scores: list[float] = []
    kinds: list[int] = []
    for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda one: one[1]):
        text = token if token in special else _text(token, bytes_of)
        tokens.append(text.replace(" ", _SPACE) if text else f"<0x{bytes_of[token]:02X}>")
        scores.append(-float(rank.get(token, len(rank))))
        kinds.append(_CONTROL if token in special else _NORMAL if text else _BYTE)
    _check(file, tokenizer, rank)
    return tokens, scores, kinds


def _check(file: Path, tokenizer: Any, rank: dict[str, int]) -> None:
    from tokenizers import pre_tokenizers

    characters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    texts = [
        text
        for row in fixed_process_set()[:_NUM_CHECKED]
        for text in (str(row["problem"]), "\n\n".join(cast("list[str]", row["steps"])))
    ]
    other: list[str] = []
    for text in texts:
        ((shown, _),) = characters.pre_tokenize_str(text)
        if merged(list(shown), rank) != tokenizer.encode(text, add_special_tokens=False).tokens:
            other.append(text)
    if len(other) > _MOST_OTHER * len(texts):
        raise ValueError(
            f"{file}: llama.cpp does not know its pre-tokenizer, without which it would read other "
            f"tokens in {len(other)} of {len(texts)} texts, such as {other[0][:40]!r}"
        )


def merged(symbols: list[str], rank: dict[str, int]) -> list[str]:
    """Merge neighbours as SentencePiece does: of all pairs the best one, then the leftmost."""
    while True:
        pairs = [
            (rank[pair], i)
            for i, pair in enumerate(map("".join, pairwise(symbols)))
            if pair in rank
        ]
        if not pairs:
            return symbols
        _, place = min(pairs)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


def _text(token: str, bytes_of: dict[str, int]) -> str:
    """Return what a token stands for, "" for a byte that is no character by itself."""
    try:
        return bytes(bytes_of[char] for char in token).decode()
    except UnicodeDecodeError:
        if len(token) > 1:
            raise ValueError(f"the token {token!r} is a part of a character") from None
        return ""


def _bytes_of_characters() -> dict[str, int]:
    """Return the byte for which each character of a byte-level BPE stands (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def _renamed(name: str, tensor: Array, config: LlamaConfig) -> tuple[str, Array]:
    """Return a tensor as llama.cpp names and orders it."""
    outer = name.removesuffix(".weight")
    if outer in _OUTER:
        return f"{_OUTER[outer]}.weight", tensor
    _, _, layer, inner = outer.split(".", 3)
    if inner == "self_attn.q_proj":
        tensor = _interleaved(tensor, config.num_attention_heads)
    if inner == "self_attn.k_proj":
        tensor = _interleaved(tensor, config.num_kv_heads)
    return f"blk.{layer}.{_LAYER[inner]}.weight", tensor


def _interleaved(tensor: Array, num_heads: int) -> Array:
    """Put the two halves of each head's rows, which are rotated in pairs, beside each other."""
    rows, columns = tensor.shape
    halves = tensor.reshape(num_heads, 2, rows // num_heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m ttc_servers.gguf_export")
    parser.add_argument("folder", type=Path, help="model in the Hugging Face format")
    parser.add_argument("file", type=Path, help="GGUF file to write")
    given = parser.parse_args()
    try:
        export(given.folder, given.file)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"gguf_export: {error}")
