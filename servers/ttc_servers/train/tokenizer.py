"""The demo models' tokenizer: byte-level BPE with Llama 3's special tokens.

One token per digit, signs on their own, newlines merged with what stands before them.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ttc_client.clients.prompts import RLHFLOW_SYSTEM, question, render_llama3
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT

BOS, EOT = "<|begin_of_text|>", "<|eot_id|>"
PAD = "<|finetune_right_pad_id|>"
SPECIALS = (
    BOS, "<|end_of_text|>", PAD, "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", EOT,
    "<|python_tag|>",
)  # fmt: skip
VOCAB_SIZE = 1024

_PIECES = r" [-+=] |[-+]|\p{N}|(?:(?! [-+=] )[^\n\p{N}+-])*\n+|(?:(?! [-+=] )[^\n\p{N}+-])+"
_PROMPT_WEIGHT = 300
"""How often the constant texts count in the merges, to make them few tokens."""


def train_tokenizer(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """Learn the merges from texts and from the prompts that every request repeats."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=64,
        show_progress=False,
    )
    constant = render_llama3(question("", META_MATH_SYSTEM_PROMPT)) + RLHFLOW_SYSTEM
    for special in SPECIALS:
        constant = constant.replace(special, "\n")
    tokenizer.train_from_iterator([*texts, *[constant] * _PROMPT_WEIGHT], trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos)]
    )
    return tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer of a model folder."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text without a BOS of their own."""
    return tokenizer.encode(text, add_special_tokens=False).ids
