"""Read a Llama saved in the Hugging Face format: `config.json` and `model.safetensors`.

Nothing is converted on disk. Knows the files' layout and nothing of the computation.
"""

import json
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class LlamaConfig(msgspec.Struct, frozen=True):
    """The fields of `config.json` that the forward pass needs, under their own names."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int
    eos_token_id: int | list[int]
    num_key_value_heads: int = 0
    head_dim: int = 0
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_scaling: dict[str, object] | None = None
    rope_parameters: dict[str, object] | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    hidden_act: str = "silu"
    model_type: str = "llama"

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values; as many as query heads where the file does not say."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def eos_ids(self) -> frozenset[int]:
        """The token ids that end a completion."""
        ids = self.eos_token_id
        return frozenset([ids] if isinstance(ids, int) else ids)

    @property
    def rope_base(self) -> float:
        """The base of the rotary frequencies, wherever the file's version keeps it."""
        base = (self.rope_parameters or {}).get("rope_theta", self.rope_theta)
        return float(base)  # type: ignore[arg-type]


def read_config(directory: Path) -> LlamaConfig:
    """Return the model's configuration; raise ValueError for what is not supported here."""
    path = directory / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes(), type=LlamaConfig)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    scaling = [
        {**scaling}.get("rope_type", "default")
        for scaling in (config.rope_scaling, config.rope_parameters)
        if scaling
    ]
    unsupported = {
        f"model_type {config.model_type!r}": config.model_type != "llama",
        f"hidden_act {config.hidden_act!r}": config.hidden_act != "silu",
        f"rotary scaling {scaling}": any(kind != "default" for kind in scaling),
        "biases": config.attention_bias or config.mlp_bias,
    }
    for what, found in unsupported.items():
        if found:
            raise ValueError(f"{path}: the embedded server does not support {what}")
    return config


def read_tensors(path: Path) -> dict[str, Array]:
    """Return every tensor of a safetensors file as float32.

    The format: eight bytes of little-endian header length, a JSON header, the raw values.
    Raises ValueError for a type other than F32, F16 and BF16.
    """
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: _decode(
            data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]],
            entry["dtype"],
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def _decode(raw: bytes, dtype: str) -> Array:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype not in ("F16", "F32"):
        raise ValueError(f"tensors of type {dtype} are not supported; save as F16, BF16 or F32")
    return np.frombuffer(raw, "<f2" if dtype == "F16" else "<f4").astype(np.float32)
