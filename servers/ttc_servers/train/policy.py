"""Train the demo policy: a language model of careless solutions."""

import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from ttc_servers.train.data import (
    Batch,
    conversation_batch,
    draw_problem,
    policy_batch,
    right_steps,
)
from ttc_servers.train.llama import Llama, LlamaShape, load_model, save_model
from ttc_servers.train.loop import Loss, Schedule, Tensors, train
from ttc_servers.train.tokenizer import BOS, EOT, PAD, load_tokenizer, train_tokenizer

NOISE = 0.012
"""The share of a careless corpus's results with a random near miss, at scale 1."""


def policy_loss(model: Llama, parts: int) -> Loss:
    """Return the mean loss of predicting weighted tokens, as one of the batch's parts."""

    def loss(prefix: Tensor, rows: Tensors) -> tuple[Tensor, dict[str, float]]:
        wanted = rows.lm_weights[:, 1:] > 0
        state = model.after(prefix, rows.ids)[-1]
        logits = model.logits(state[:, :-1][wanted])
        value = F.cross_entropy(logits, rows.ids[:, 1:][wanted]) / parts
        return value, {"loss": value.item()}

    return loss


def make_tokenizer(seed: int, size: int = 6000) -> Tokenizer:
    """Train the tokenizer on right solutions of training problems."""
    rng = random.Random(f"tokenizer/{seed}")
    texts = []
    for _ in range(size):
        problem = draw_problem(rng, "train")
        texts.append(problem.problem + "\n\n" + "".join(right_steps(problem, rng)))
    return train_tokenizer(texts)


def save_folder(model: Llama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a model folder that transformers and vLLM load as it is."""
    ids = {name: tokenizer.token_to_id(token) for name, token in _SPECIAL_IDS.items()}
    save_model(model, folder, ids)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOT,
        "pad_token": PAD,
        "model_max_length": model.shape.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


_SPECIAL_IDS = {"bos_token_id": BOS, "eos_token_id": EOT, "pad_token_id": PAD}

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] | trim %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n'"
    " + system + '<|eot_id|>' }}"
    "{% for message in turns %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] }}"
    "{% if not (loop.last and continue_final_message) %}{{ '<|eot_id|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)
"""Llama 3's template with the date pinned and nothing but the system prompt trimmed."""


def train_policy(
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    scale: float = 1.0,
    conversations: float = 0.0,
    start: Path | None = None,
    resume: bool = False,
    sizes: dict[str, int] | None = None,
) -> None:
    """Train a policy into a folder, from scratch or from another model's folder.

    scale multiplies the corpus's slips; conversations is the share of batches in the PRM's
    format, for a model that a PRM is to start from; sizes overrides fields of `LlamaShape`.
    """
    torch.manual_seed(schedule.seed)
    tokenizer = load_tokenizer(start) if start else make_tokenizer(schedule.seed)
    model = (
        load_model(start)
        if start
        else Llama(LlamaShape(tokenizer.get_vocab_size(), **(sizes or {})))
    )

    def make_batch(rng: random.Random, step: int) -> Batch:
        if rng.random() < conversations:
            return conversation_batch(tokenizer, rng, batch_size)
        return policy_batch(tokenizer, rng, batch_size, scale, NOISE * scale)

    train(
        model,
        make_batch,
        policy_loss(model, schedule.micro_batches),
        schedule,
        folder / "checkpoint.pt",
        resume,
        lambda done: save_folder(model, tokenizer, folder),
    )
