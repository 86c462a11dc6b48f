"""Train the demo PRM: the policy's layers, two fresh ones on top, a label at every token.

The policy's last layer knows which token should come; a fresh layer can compare that with the
token that came, and the next one remember whether any was wrong. The verdict is the softmax
over the head's "+" and "-" alone, as it is read by the search.
"""

import copy
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from ttc_client.prompts import RLHFLOW_VERDICTS
from ttc_servers.demomath import Problem
from ttc_servers.train.data import (
    Batch,
    Row,
    corrupted_steps,
    draw_problem,
    numbered_problem,
    plain_row,
    policy_prompt,
    prm_prefix,
    prm_row,
    split_steps,
)
from ttc_servers.train.llama import Llama, load_model
from ttc_servers.train.loop import Schedule, Tensors, tensors, train
from ttc_servers.train.policy import lm_loss, save_folder
from ttc_servers.train.tokenizer import encode, load_tokenizer

FRESH_LAYERS = 2
_LM_WEIGHT = 0.3
_FRESH_NORM = 0.1
"""Scale of the new last norm: the head of a language model is too sure for a verdict's start."""
_SAMPLE_SHARE = 0.7
_VALIDATION_ROWS = 200


class Verifier(nn.Module):
    """A PRM in training: its Llama, and the norm before the head of the policy inside it."""

    def __init__(self, policy: Llama, tokenizer: Tokenizer, fresh_layers: int = FRESH_LAYERS):
        super().__init__()
        self.depth = policy.shape.num_hidden_layers
        self.llama = Llama(replace(policy.shape, num_hidden_layers=self.depth + fresh_layers))
        self.llama.load_state_dict(policy.state_dict(), strict=False)
        self.lm_norm = copy.deepcopy(policy.model.norm)
        if fresh_layers:
            self.llama.model.norm.weight.data *= _FRESH_NORM
        self.verdicts = [encode(tokenizer, verdict)[0] for verdict in RLHFLOW_VERDICTS]

    def is_policys(self, name: str) -> bool:
        """Return whether a parameter holds what the policy had learned."""
        layers = tuple(f"llama.model.layers.{index}." for index in range(self.depth))
        return name.startswith((*layers, "llama.model.embed_tokens."))

    def verdict_logits(self, states: list[Tensor]) -> Tensor:
        """Return the logit of "good" at each position, (rows, time)."""
        plus, minus = self.llama.model.embed_tokens.weight[self.verdicts]
        return self.llama.model.norm(states[-1]) @ (plus - minus)

    def loss(self, parts: int, prefix: Tensor, rows: Tensors) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the labels and of the right tokens; see `loop.Loss`."""
        states = self.llama.after(prefix, rows.ids)
        logits = self.verdict_logits(states)
        costs = F.binary_cross_entropy_with_logits(logits, rows.labels, reduction="none")
        verdict = (costs * rows.label_weights).sum() / rows.label_weights.sum()
        right = lm_loss(self.llama, states[self.depth - 1], rows, self.lm_norm)
        figures = {"verdict": verdict.item() / parts, "lm": right.item() / parts}
        return (verdict + _LM_WEIGHT * right) / parts, figures


def read_samples(tokenizer: Tokenizer, path: Path, marker_weight: float) -> list[list[Row]]:
    """Read what the `sample` command wrote: each problem's samples as labelled conversations."""
    groups: dict[tuple[str, int, int], list[Row]] = {}
    with path.open() as lines:
        for line in lines:
            sample = json.loads(line)
            name = (sample["split"], sample["seed"], sample["index"])
            steps = split_steps(sample["solution"])
            row = prm_row(tokenizer, numbered_problem(*name), steps, marker_weight)
            groups.setdefault(name, []).append(row)
    return [groups[name] for name in sorted(groups)]


@torch.no_grad()
def score_rows(model: Verifier | Llama, tokenizer: Tokenizer, rows: list[Row]) -> list[list[float]]:
    """Return the probability of "good" at each row's step markers."""
    verifier = model if isinstance(model, Verifier) else Verifier(model, tokenizer, 0)
    device = next(model.parameters()).device
    prefix = torch.tensor([prm_prefix(tokenizer)], device=device)
    scores: list[list[float]] = [[] for _ in rows]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    for begin in range(0, len(rows), 64):
        chunk = order[begin : begin + 64]
        batch = tensors([rows[index] for index in chunk], device)
        good = verifier.verdict_logits(verifier.llama.after(prefix, batch.ids)).sigmoid()
        for values, index in zip(good.tolist(), chunk, strict=True):
            scores[index] = [values[position] for position in rows[index].markers]
    return scores


def auc(scores: list[float], labels: list[float]) -> float:
    """Return the area under the ROC curve: how often a good step outranks a bad one."""
    ordered = sorted(zip(scores, labels, strict=True))
    ranks = sum(rank for rank, (_, label) in enumerate(ordered, 1) if label)
    good = sum(1 for label in labels if label)
    bad = len(labels) - good
    return (ranks - good * (good + 1) / 2) / (good * bad) if good and bad else float("nan")


def ranking(
    model: Verifier | Llama, tokenizer: Tokenizer, groups: list[list[Row]]
) -> dict[str, float]:
    """Return the AUC over all steps, and how well last steps rank each problem's samples.

    `within` is the mean of the problems' own AUCs, `best` the share of problems whose highest
    score is a right sample's, `chance` what a random choice would reach; problems whose samples
    are all right or all wrong do not count in these three.
    """
    scored = score_rows(model, tokenizer, [row for rows in groups for row in rows])
    steps, labels, own = list[float](), list[float](), list[tuple[float, float, float]]()
    for rows in groups:
        scores, scored = scored[: len(rows)], scored[len(rows) :]
        steps += [score for row in scores for score in row]
        labels += [row.labels[position] for row in rows for position in row.markers]
        right = [row.labels[row.markers[-1]] for row in rows]
        last = [row[-1] for row in scores]
        if 0 < sum(right) < len(right):
            best = right[max(range(len(rows)), key=last.__getitem__)]
            own.append((auc(last, right), best, sum(right) / len(right)))
    means = (sum(column) / len(own) for column in zip(*own, strict=True))
    return {"AUC": auc(steps, labels)} | dict(
        zip(("within", "best", "chance"), means, strict=False)
    )


def train_prm(
    folder: Path,
    base: Path,
    schedule: Schedule,
    batch_size: int,
    samples: Path | None = None,
    held_out: Path | None = None,
    marker_weight: float = 3.0,
    plain_share: float = 0.0,
    fresh_layers: int = FRESH_LAYERS,
    resume: bool = False,
) -> None:
    """Train a PRM into a folder, from a policy's (or, with no fresh layers, a PRM's) folder.

    The first plain_share of the steps sees solutions as the policy writes them, shorter than
    conversations. samples: policy samples to mix with the corrupted solutions; held_out: others
    on which the AUC is shown at each checkpoint.
    """
    torch.manual_seed(schedule.seed)
    tokenizer = load_tokenizer(base)
    model = Verifier(load_model(base), tokenizer, fresh_layers)
    model.depth -= 0 if fresh_layers else FRESH_LAYERS
    prefix, plain_prefix = prm_prefix(tokenizer), encode(tokenizer, policy_prompt()[0])
    sampled = read_samples(tokenizer, samples, marker_weight) if samples else []
    drawn = random.Random("validation")
    corrupted = [prm_row(tokenizer, *_drawn(drawn, "validation")) for _ in range(_VALIDATION_ROWS)]
    checks = {"corrupted": [[row] for row in corrupted]}
    if held_out:
        checks["sampled"] = read_samples(tokenizer, held_out, marker_weight)

    def make_batch(rng: random.Random, step: int) -> Batch:
        if step < plain_share * schedule.steps:
            return Batch(
                plain_prefix, [plain_row(tokenizer, *_drawn(rng)) for _ in range(batch_size)]
            )
        rows = [
            rng.choice(rng.choice(sampled))
            if sampled and rng.random() < _SAMPLE_SHARE
            else prm_row(tokenizer, *_drawn(rng), marker_weight)
            for _ in range(batch_size)
        ]
        return Batch(prefix, rows)

    def on_save(done: int) -> None:
        save_folder(model.llama, tokenizer, folder)
        for name, groups in checks.items():
            figures = ranking(model, tokenizer, groups).items()
            shown = " ".join(f"{figure} {value:.4f}" for figure, value in figures)
            print(f"step {done} {name} {shown}", file=sys.stderr, flush=True)

    def loss(prefix: Tensor, rows: Tensors) -> tuple[Tensor, dict[str, float]]:
        return model.loss(schedule.micro_batches, prefix, rows)

    train(
        model, make_batch, loss, schedule, folder / "checkpoint.pt", resume, on_save,
        slow=model.is_policys,
    )  # fmt: skip


def _drawn(rng: random.Random, split: str = "train") -> tuple[Problem, list[str]]:
    problem = draw_problem(rng, split)
    return problem, corrupted_steps(problem, rng)
