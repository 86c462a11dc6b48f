"""What PRMs of each family say of the steps of a solution, computed slowly and plainly.

One unpadded pass of the model per step, over a text made by the tokenizer's own template, read at
the last marker.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Qwen2Config,
    Qwen2ForCausalLM,
)


@cache
def tokenizer_of(path: Path) -> Any:
    return AutoTokenizer.from_pretrained(path)


@cache
def model_of(auto_class: Any, path: Path) -> Any:
    return auto_class.from_pretrained(path).eval()


def rlhflow(path: Path, problem: str, steps: list[str]) -> list[float]:
    tokenizer = tokenizer_of(path)
    model = model_of(AutoModelForCausalLM, path)
    labels = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    chat, scores = [], []
    for k, step in enumerate(steps):
        chat.append({"role": "user", "content": f"{problem} {step}" if k == 0 else step})
        chat.append({"role": "assistant", "content": "+"})
        ids = tokenizer.apply_chat_template(chat, return_dict=False, return_tensors="pt")
        scores.append(model(ids).logits[0, -3, labels].softmax(-1)[0].item())
    return scores


def math_shepherd(path: Path, problem: str, steps: list[str]) -> list[float]:
    tokenizer = tokenizer_of(path)
    model = model_of(AutoModelForCausalLM, path)
    assert tokenizer.encode("+ -")[1:] == [648, 387]
    assert tokenizer.encode("ки")[-1] == 12902
    scores = []
    for k in range(len(steps)):
        solution = "\n".join(f"{step} ки" for step in steps[: k + 1])
        ids = torch.tensor([tokenizer.encode(f"{problem} {solution}")])
        probabilities = model(ids).logits[:, :, [648, 387]].softmax(-1)[:, :, 0]
        scores.append(probabilities[ids == 12902][-1].item())
    return scores


def qwen2_hidden(path: Path, ids: list[int]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    state = load_file(path / "model.safetensors")
    config = Qwen2Config(**json.loads((path / "config.json").read_text()))
    model = Qwen2ForCausalLM(config).eval()
    model.load_state_dict(state, strict=False)
    return model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0], state


def skywork(path: Path, problem: str, steps: list[str]) -> list[float]:
    tokenizer = tokenizer_of(path)
    newline = tokenizer.encode("\n", add_special_tokens=False)[-1]
    ids = tokenizer.encode(tokenizer.bos_token + problem + "\n", add_special_tokens=False)
    ends = []
    for step in steps:
        for line in step.split("\n"):
            ids += [*tokenizer.encode(line, add_special_tokens=False), newline]
        ends.append(len(ids) - 1)
    hidden, state = qwen2_hidden(path, ids)
    values = hidden @ state["v_head.summary.weight"][0] + state["v_head.summary.bias"]
    return values.sigmoid()[ends].tolist()


def qwen_prm(path: Path, problem: str, steps: list[str]) -> list[float]:
    tokenizer = tokenizer_of(path)
    marker = tokenizer.encode("<extra_0>")[0]
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    scores = []
    for k in range(len(steps)):
        chat = [
            {"role": "system", "content": system},
            {"role": "user", "content": problem},
            {"role": "assistant", "content": "<extra_0>".join(steps[: k + 1]) + "<extra_0>"},
        ]
        ids = tokenizer.encode(tokenizer.apply_chat_template(chat, tokenize=False))
        hidden, state = qwen2_hidden(path, ids)
        inner = (hidden @ state["score.0.weight"].T + state["score.0.bias"]).relu()
        logits = inner @ state["score.2.weight"].T + state["score.2.bias"]
        probabilities = logits.softmax(-1)[:, 1]
        scores.append(probabilities[torch.tensor(ids) == marker][-1].item())
    return scores


def beginnings(steps: list[str]) -> list[str]:
    """Return the solution up to each of its steps."""
    return ["\n\n".join(steps[:end]) for end in range(1, len(steps) + 1)]


def classifier(path: Path, problem: str, steps: list[str]) -> list[float]:
    tokenizer = tokenizer_of(path)
    model = model_of(AutoModelForSequenceClassification, path)
    scores = []
    for solution in beginnings(steps):
        chat = [{"role": "user", "content": problem}, {"role": "assistant", "content": solution}]
        ids = tokenizer.apply_chat_template(chat, return_dict=False, return_tensors="pt")
        scores.append(model(ids).logits[0, 0].sigmoid().item())
    return scores


def encoder(path: Path, problem: str, steps: list[str]) -> list[float]:
    tokenizer = tokenizer_of(path)
    model = model_of(AutoModelForSequenceClassification, path)
    pairs = (tokenizer(problem, text, return_tensors="pt") for text in beginnings(steps))
    return [model(**pair).logits[0].softmax(-1)[1].item() for pair in pairs]


REFERENCES: dict[str, Callable[[Path, str, list[str]], list[float]]] = {
    "rlhflow": rlhflow,
    "math-shepherd": math_shepherd,
    "skywork": skywork,
    "qwen-prm": qwen_prm,
    "classifier": classifier,
    "encoder": encoder,
}


@cache
def reference_scores(family: str, path: Path, problem: str, steps: tuple[str, ...]) -> list[float]:
    with torch.inference_mode():
        return REFERENCES[family](path, problem, list(steps))
