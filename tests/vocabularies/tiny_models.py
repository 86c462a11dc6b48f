"""Tiny random models with the vocabularies of real ones, as published models lie in a directory.

The vocabularies come from the packages that `scripts/install_tokenizers` fetches.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
)
from transformers.convert_slow_tokenizer import TikTokenConverter

from tests.torch.conftest import CHATML_TEMPLATE, LLAMA3_SPLIT, LLAMA3_TEMPLATE, QWEN2_SPLIT

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # of 32: the least that the CPU build reads
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "initializer_range": 0.3,  # scores that differ, from a random model
}
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}"
    "{% else %}{{ message.content + eos_token + ' ' }}{% endif %}{% endfor %}"
)
OPENED = "{% if add_generation_prompt %}"
LLAMA3_OPENED = OPENED + "<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}{% endif %}"
CHATML_OPENED = OPENED + "<|im_start|>assistant{{ '\\n' }}{% endif %}"


def tiktoken(file: Path, split: str, special: Sequence[str]) -> Tokenizer:
    made = TikTokenConverter(str(file), pattern=split).converted()
    made.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return made


def llama3(packages: Path) -> PreTrainedTokenizerFast:
    """Return Llama 3's tokenizer: its special tokens follow the 128,000 of its vocabulary."""
    special = ["begin_of_text", "end_of_text", "reserved_special_token_0"]
    special += ["reserved_special_token_1", "finetune_right_pad_id", "step_id"]
    special += ["start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag"]
    special += [f"reserved_special_token_{number}" for number in range(2, 247)]
    made = tiktoken(
        packages / "llama_models/llama3/tokenizer.model",
        LLAMA3_SPLIT,
        [f"<|{name}|>" for name in special],
    )
    bos = "<|begin_of_text|>"
    made.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, made.token_to_id(bos))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=bos,
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        chat_template=LLAMA3_TEMPLATE + LLAMA3_OPENED,
    )


@cache
def qwen2(packages: Path) -> PreTrainedTokenizerFast:
    """Return Qwen2.5's tokenizer, with Qwen2.5-Math-PRM's marker at its place, 151651."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    special += [f"<|{name}|>" for name in ("object_ref_start", "object_ref_end")]
    special += ["<|box_start|>", "<|box_end|>", "<|quad_start|>", "<extra_0>"]
    made = tiktoken(packages / "dashscope/resources/qwen.tiktoken", QWEN2_SPLIT, special)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML_TEMPLATE + CHATML_OPENED,
    )


def mistral(packages: Path, folder: Path) -> LlamaTokenizer:
    """Return Mistral's first tokenizer, read from SentencePiece's file in `folder`."""
    file = packages / "mistral_common/data/tokenizer.model.v1"
    shutil.copy(file, folder / "tokenizer.model")
    made = LlamaTokenizer.from_pretrained(folder, add_bos_token=True)
    made.chat_template = MISTRAL_TEMPLATE
    return made


def _sizes(tokenizer: PreTrainedTokenizerFast | LlamaTokenizer) -> dict[str, Any]:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return {**SIZES, **ids, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}


def make_llama(packages: Path, folder: Path) -> None:
    tokenizer = llama3(packages)
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(LlamaConfig(**_sizes(tokenizer))).save_pretrained(folder)


def make_mistral(packages: Path, folder: Path) -> None:
    tokenizer = mistral(packages, folder)
    tokenizer.save_pretrained(folder)
    config = MistralConfig(**_sizes(tokenizer), sliding_window=None)
    MistralForCausalLM(config).save_pretrained(folder)


def make_qwen2(packages: Path, folder: Path) -> None:
    tokenizer = qwen2(packages)
    tokenizer.save_pretrained(folder)
    Qwen2ForCausalLM(Qwen2Config(**_sizes(tokenizer))).save_pretrained(folder)


def make_qwen_prm(packages: Path, folder: Path) -> None:
    """Make a Qwen2.5-Math-PRM, whose head has names of its own."""
    tokenizer = qwen2(packages)
    tokenizer.save_pretrained(folder)
    backbone = Qwen2ForCausalLM(Qwen2Config(**_sizes(tokenizer)))
    width = SIZES["hidden_size"]
    head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    state = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    state = {f"model.{name}": tensor for name, tensor in state.items()}
    state |= {f"score.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    named = {"architectures": ["Qwen2ForProcessRewardModel"]}
    (folder / "config.json").write_text(json.dumps(backbone.config.to_dict() | named))


def make_classifier(packages: Path, folder: Path) -> None:
    tokenizer = qwen2(packages)
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(**_sizes(tokenizer), num_labels=1)
    Qwen2ForSequenceClassification(config).save_pretrained(folder)


def make_adapter(folder: Path) -> None:
    """Make a LoRA for the Qwen2 that changes what it writes."""
    width, rank, name = SIZES["hidden_size"], 8, "base_model.model.model.layers.{}.mlp.{}_proj"
    wide = SIZES["intermediate_size"]
    shapes = {"up": (width, wide), "down": (wide, width)}
    state = {}
    for layer in range(SIZES["num_hidden_layers"]):
        for part, (reads, writes) in shapes.items():
            place = name.format(layer, part)
            state[f"{place}.lora_A.weight"] = torch.randn(rank, reads)
            state[f"{place}.lora_B.weight"] = torch.randn(writes, rank)
    save_file(state, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "bias": "none"}
    config |= {"target_modules": ["up_proj", "down_proj"], "base_model_name_or_path": "tiny"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "Tiny-Llama-3.2-Instruct": make_llama,
    "tiny-math-shepherd-mistral": make_mistral,
    "Tiny-Qwen2.5-Instruct": make_qwen2,
    "Tiny-Qwen2.5-Math-PRM": make_qwen_prm,
    "Tiny-Qwen2.5-Reward": make_classifier,
}


def make_models(packages: Path, folder: Path) -> dict[str, Path]:
    """Make a directory for each of MAKERS, and one for the adapter."""
    torch.manual_seed(7)
    folders = {name: folder / name for name in (*MAKERS, "adapter")}
    for made in folders.values():
        made.mkdir()
    for name, make in MAKERS.items():
        make(packages, folders[name])
    make_adapter(folders["adapter"])
    return folders
