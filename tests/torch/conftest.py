"""Tiny random PRMs of the real architectures, with the real tokenization rules.

Each is a directory as published: config, tokenizer and weights under the published names.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

torch.set_num_threads(1)

CORPUS = [
    "Let us solve the problem step by step.\n\nThe answer is 42, so x = 7 + 3 and y = -1.",
    "## Step 1: Add the numbers.\n1 + 2 = 3.\nSo.\n\nHence the answer is: $\\boxed{3}$.",
]
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
LLAMA3_TEMPLATE = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
    "{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content | trim }}<|eot_id|>{% endfor %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.3,  # scores that differ, from a random model
}


def byte_level_tokenizer(split: str, special: list[str], **kwargs) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer like those of Llama 3 and Qwen2.5, but small."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 2, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    if bos := kwargs.get("bos_token"):
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **kwargs)


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    names = ["begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id"]
    return byte_level_tokenizer(
        LLAMA3_SPLIT,
        [f"<|{name}|>" for name in names],
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        chat_template=LLAMA3_TEMPLATE,
    )


def qwen2_tokenizer(**kwargs) -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    tokenizer = byte_level_tokenizer(
        QWEN2_SPLIT, special, eos_token="<|im_end|>", pad_token="<|endoftext|>", **kwargs
    )
    tokenizer.chat_template = CHATML_TEMPLATE
    return tokenizer


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    """Return a SentencePiece-like tokenizer with Mistral's ids of "+", "-" and the marker."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [*"▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:=+-()", "к", "и"]
    pieces += ["▁к"]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    vocab |= {"▁+": 648, "▁-": 387, "▁ки": 12902}
    taken = set(vocab.values())
    vocab |= {f"<unused{i}>": i for i in range(12902) if i not in taken}
    merges = [("▁", "+"), ("▁", "-"), ("▁", "к"), ("▁к", "и")]
    bpe = models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def wordpiece_tokenizer() -> PreTrainedTokenizerFast:
    """Return a BERT tokenizer over characters, with its two token types."""
    characters = sorted(set("".join(CORPUS).lower()) - set(" \n"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{c}" for c in characters)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def save_qwen2_prm(path: Path, architecture: str, head: nn.Module, head_name: str) -> None:
    """Save a Qwen2 with a head of its own, under the names of the published checkpoint."""
    backbone = Qwen2ForCausalLM(Qwen2Config(vocab_size=512, pad_token_id=0, **SIZES))
    state = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    state |= {f"{head_name}.{name}": tensor for name, tensor in head.state_dict().items()}
    path.mkdir()
    save_file(state, path / "model.safetensors", {"format": "pt"})
    remote = {"AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel"}
    config = backbone.config.to_dict() | {"architectures": [architecture], "auto_map": remote}
    (path / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="session")
def prm_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the directory of a tiny PRM of each family."""
    torch.manual_seed(7)
    root = tmp_path_factory.mktemp("prms")
    dirs = {
        name: root / name
        for name in ("rlhflow", "math-shepherd", "skywork", "qwen-prm", "classifier", "encoder")
    }
    LlamaForCausalLM(LlamaConfig(vocab_size=512, **SIZES)).save_pretrained(dirs["rlhflow"])
    llama3_tokenizer().save_pretrained(dirs["rlhflow"])
    mistral = MistralConfig(vocab_size=12903, sliding_window=96, **SIZES)
    MistralForCausalLM(mistral).save_pretrained(dirs["math-shepherd"])
    mistral_tokenizer().save_pretrained(dirs["math-shepherd"])
    head = nn.Linear(32, 1)
    save_qwen2_prm(dirs["skywork"], "Qwen2ForPrmModel", head, "v_head.summary")
    qwen2_tokenizer(bos_token="<|endoftext|>").save_pretrained(dirs["skywork"])
    head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    save_qwen2_prm(dirs["qwen-prm"], "Qwen2ForProcessRewardModel", head, "score")
    qwen2_tokenizer().save_pretrained(dirs["qwen-prm"])
    config = LlamaConfig(vocab_size=512, num_labels=1, pad_token_id=511, **SIZES)
    LlamaForSequenceClassification(config).save_pretrained(dirs["classifier"])
    llama3_tokenizer().save_pretrained(dirs["classifier"])
    sizes = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
    bert = BertConfig(vocab_size=128, num_labels=2, **sizes)
    BertForSequenceClassification(bert).save_pretrained(dirs["encoder"])
    wordpiece_tokenizer().save_pretrained(dirs["encoder"])
    return dirs
