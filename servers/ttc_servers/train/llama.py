"""A compact Llama in PyTorch, with Hugging Face's parameter names, for training and sampling.

Knows the architecture and its files; knows nothing of data, losses or prompts.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, of shape (batch, KV heads, positions, head size)."""


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The sizes of a Llama."""

    vocab_size: int
    hidden_size: int = 256
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 8
    num_key_value_heads: int = 2
    max_position_embeddings: int = 4096
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Return the size of one attention head."""
        return self.hidden_size // self.num_attention_heads


class Attention(nn.Module):
    """Causal attention with grouped queries and rotary positions."""

    def __init__(self, shape: LlamaShape):
        super().__init__()
        self.shape = shape
        kv_size = shape.num_key_value_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, kv_size, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, kv_size, bias=False)
        self.o_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor, rotary: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None):
        """Attend from x, (batch, time, hidden), to the past and itself; return keys, values too."""
        batch, time, _ = x.shape

        def heads(projection: nn.Linear) -> Tensor:
            return projection(x).view(batch, time, -1, self.shape.head_dim).transpose(1, 2)

        queries, keys = rotate(heads(self.q_proj), rotary), rotate(heads(self.k_proj), rotary)
        values = heads(self.v_proj)
        if past:
            past_keys, past_values = (part.expand(batch, -1, -1, -1) for part in past)
            keys = torch.cat([past_keys, keys], dim=2)
            values = torch.cat([past_values, values], dim=2)
        out = _grouped_attention(queries, keys, values, mask)
        return self.o_proj(out.transpose(1, 2).reshape(batch, time, -1)), (keys, values)


def _grouped_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attend with a group's heads side by side in time, so that keys are not copied for each.

    Spelt out for training: on a CPU, the fused attention's backward pass in bfloat16 takes
    longer than all matrix products together.
    """
    batch, heads, time, size = queries.shape
    kv_heads = keys.shape[1]
    groups = heads // kv_heads
    if time == 1:
        folded = queries.view(batch, kv_heads, groups, size)
        out = F.scaled_dot_product_attention(folded, keys, values, attn_mask=mask)
        return out.reshape(batch, heads, 1, size)
    folded = (queries * size**-0.5).reshape(batch, kv_heads, groups * time, size)
    logits = (folded @ keys.mT).view(batch, kv_heads, groups, time, -1).float()
    chances = logits.masked_fill(~mask[:, :, None], float("-inf")).softmax(-1)
    out = chances.view(batch, kv_heads, groups * time, -1).to(values.dtype) @ values
    return out.view(batch, heads, time, size)


class MLP(nn.Module):
    """The gated feed-forward part of a layer."""

    def __init__(self, shape: LlamaShape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return down(silu(gate(x)) * up(x))."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self, shape: LlamaShape):
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = MLP(shape)
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)

    def forward(self, x: Tensor, rotary: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None):
        """Return the layer's output and its keys and values."""
        attended, present = self.self_attn(self.input_layernorm(x), rotary, mask, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), present


class Decoder(nn.Module):
    """The stack of layers between the embedding and the head."""

    def __init__(self, shape: LlamaShape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)


class Llama(nn.Module):
    """A Llama whose head is its embedding."""

    def __init__(self, shape: LlamaShape):
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)
        frequencies = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        angles = torch.outer(torch.arange(shape.max_position_embeddings).float(), frequencies)
        rotary = torch.stack([angles.cos(), angles.sin()]).repeat(1, 1, 2)
        self.register_buffer("rotary", rotary, persistent=False)

    def forward(
        self, ids: Tensor, cache: Cache | None = None, mask: Tensor | None = None
    ) -> tuple[list[Tensor], Cache]:
        """Return the hidden states after each layer and the keys and values.

        ids is (batch, time). A cache of batch 1 serves every row. The mask, (batch or 1, 1,
        time, past + time), is causal unless given; positions follow the cache's.
        """
        past_length = cache[0][0].shape[2] if cache else 0
        time = ids.shape[1]
        if mask is None:
            mask = torch.ones(time, past_length + time, dtype=torch.bool, device=ids.device)
            mask = mask.tril(past_length)[None, None]
        rotary = self.rotary[:, None, None, past_length : past_length + time]
        return self.run(self.model.embed_tokens(ids), rotary, mask, cache)

    def after(self, prefix: Tensor, ids: Tensor) -> list[Tensor]:
        """Return the hidden states of rows that all follow one prefix, (1, time)."""
        return self(ids, self(prefix)[1])[0]

    def run(self, x: Tensor, rotary: Tensor, mask: Tensor, cache: Cache | None):
        """Return every layer's output for embedded tokens and given rotary angles."""
        states, present = [], []
        for index, layer in enumerate(self.model.layers):
            x, keys_values = layer(x, rotary, mask, cache[index] if cache else None)
            states.append(x)
            present.append(keys_values)
        return states, present

    def logits(self, state: Tensor) -> Tensor:
        """Return the head's logits for a last layer's state."""
        return self.model.norm(state) @ self.model.embed_tokens.weight.T


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Turn each pair of halves of (batch, heads, time, size) by its position's angle."""
    cos, sin = rotary[0], rotary[1]
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def pad(rows: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
    """Return rows of different lengths as one tensor, filled on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=dtype)


def save_model(model: Llama, folder: Path, specials: dict[str, int]) -> None:
    """Write a model's weights in half precision and its configuration for transformers and vLLM.

    specials: the ids of `bos_token_id`, `eos_token_id`, `pad_token_id`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: w.detach().half().contiguous() for name, w in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **asdict(model.shape),
        "head_dim": model.shape.head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        **specials,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_model(folder: Path) -> Llama:
    """Read a model that `save_model` wrote, in single precision."""
    config = json.loads((folder / "config.json").read_text())
    shape = LlamaShape(**{name: config[name] for name in LlamaShape.__dataclass_fields__})
    model = Llama(shape)
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return model
