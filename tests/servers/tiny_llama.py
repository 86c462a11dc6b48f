"""A random Llama on disk, and a Llama's forward pass written out plainly in float64."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT

SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
]
PATTERN = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
HEADS, KV_HEADS, HIDDEN, FFN, LAYERS, CONTEXT = 4, 2, 32, 48, 2, 512


def write_model(directory: Path, seed: int) -> Path:
    """Write a random model in the Hugging Face format and return its directory."""
    directory.mkdir(parents=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.token_to_id("<|eot_id|>"),
    }
    (directory / "config.json").write_text(json.dumps(config))
    _write_safetensors(directory / "model.safetensors", _weights(config["vocab_size"], seed))
    return directory


def reference_logits(directory: Path, ids: Sequence[int]) -> np.ndarray:
    """Return logits [len(ids), vocab] of a Llama with tied embeddings, in the plainest way.

    One sequence, no cache, no fused weights, float64.
    """
    config = json.loads((directory / "config.json").read_text())
    w = _read_safetensors(directory / "model.safetensors")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["hidden_size"] // heads
    frequencies = config["rope_theta"] ** (-np.arange(0, size, 2) / size)
    angles = np.outer(np.arange(len(ids)), frequencies)
    past = np.tri(len(ids), dtype=bool)
    cos, sin = (np.concatenate([f(angles)] * 2, axis=1) for f in (np.cos, np.sin))

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scale = np.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"])
        return x / scale * w[f"{name}.weight"]

    def rotate(x: np.ndarray) -> np.ndarray:
        turned = np.concatenate([-x[:, size // 2 :], x[:, : size // 2]], axis=1)
        return x * cos + turned * sin

    x = w["model.embed_tokens.weight"][list(ids)]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        h = norm(x, prefix + "input_layernorm")
        q, k, v = (h @ w[f"{prefix}self_attn.{name}_proj.weight"].T for name in "qkv")
        outputs = []
        for head in range(heads):
            mine = slice(head * size, (head + 1) * size)
            kv_head = head * kv_heads // heads
            shared = slice(kv_head * size, (kv_head + 1) * size)
            scores = rotate(q[:, mine]) @ rotate(k[:, shared]).T / np.sqrt(size)
            weights = np.where(past, np.exp(scores - scores.max(-1, keepdims=True)), 0)
            outputs.append(weights @ v[:, shared] / weights.sum(-1, keepdims=True))
        x = x + np.concatenate(outputs, axis=1) @ w[f"{prefix}self_attn.o_proj.weight"].T
        h = norm(x, prefix + "post_attention_layernorm")
        gate, up = (h @ w[f"{prefix}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{prefix}mlp.down_proj.weight"].T
    return norm(x, "model.norm") @ w["model.embed_tokens.weight"].T


def _weights(vocab: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kv = HIDDEN // HEADS * KV_HEADS
    shapes = {"model.embed_tokens": (vocab, HIDDEN), "model.norm": (HIDDEN,)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "input_layernorm": (HIDDEN,),
            prefix + "post_attention_layernorm": (HIDDEN,),
            prefix + "self_attn.q_proj": (HIDDEN, HIDDEN),
            prefix + "self_attn.k_proj": (kv, HIDDEN),
            prefix + "self_attn.v_proj": (kv, HIDDEN),
            prefix + "self_attn.o_proj": (HIDDEN, HIDDEN),
            prefix + "mlp.gate_proj": (FFN, HIDDEN),
            prefix + "mlp.up_proj": (FFN, HIDDEN),
            prefix + "mlp.down_proj": (HIDDEN, FFN),
        }
    return {
        f"{name}.weight": (
            1 + rng.normal(0, 0.1, shape) if "norm" in name else rng.normal(0, 0.4, shape)
        ).astype(np.float16)
        for name, shape in shapes.items()
    }


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return a file's half-precision tensors as float64."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    assert {entry["dtype"] for entry in header.values()} == {"F16"}
    return {
        name: np.frombuffer(content[start:][slice(*entry["data_offsets"])], np.float16)
        .reshape(entry["shape"])
        .astype(np.float64)
        for name, entry in header.items()
    }


def _write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, body = {}, b""
    for name, tensor in tensors.items():
        start, body = len(body), body + tensor.tobytes()
        header[name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": [start, len(body)]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([META_MATH_SYSTEM_PROMPT] * 3, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[0]} $A", special_tokens=[(SPECIAL[0], tokenizer.token_to_id(SPECIAL[0]))]
    )
    return tokenizer
