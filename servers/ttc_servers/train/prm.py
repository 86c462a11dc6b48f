"""Train the demo PRM: a policy's layers, frozen, and two fresh ones on top.

The policy must be one that writes no slips and knows the PRM's conversation. Then its last layer
expects the right token; the first fresh layer, which looks at the token before, learns by how much
the token that came surprised it, and the second to remember whether any did. Both have a label at
every token, which is what makes so small a model learn it: the surprise, and whether every value
so far is right. The verdict is the softmax over the head's "+" and "-" alone, as it is read by
the search.
"""

import copy
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_servers.train.data import (
    Batch,
    Row,
    corrupted_steps,
    draw_problem,
    numbered_problem,
    prm_prefix,
    prm_row,
    split_steps,
    stepwise_row,
)
from ttc_servers.train.llama import Llama, load_model, pad, rotate
from ttc_servers.train.loop import Schedule, Tensors, tensors, train
from ttc_servers.train.policy import save_folder
from ttc_servers.train.tokenizer import encode, load_tokenizer

FRESH_LAYERS = 2
_QUIETER = 1 / 8
"""Scale of all that the policy's layers write, so that what the fresh ones write counts beside it.
It changes nothing between the policy's layers: each reads what was written through its norm."""
_FRESH_NORM = 0.1
"""Scale of the new last norm: the head of a language model is too sure for a verdict's start."""
_LOOK_BACK_STEPS = 100
_MOST_SURPRISE = 8.0
_SURPRISE_WEIGHT = 1.0
_MARKER_WEIGHT = 3.0
_SAMPLE_SHARE = 0.7
_VALIDATION_ROWS = 200


class Verifier(nn.Module):
    """A PRM in training: its Llama, whose first layers are a policy's and stay as they are."""

    def __init__(self, policy: Llama, tokenizer: Tokenizer):
        super().__init__()
        self.depth = policy.shape.num_hidden_layers
        shape = replace(policy.shape, num_hidden_layers=self.depth + FRESH_LAYERS)
        self.llama = Llama(shape)
        weights = policy.state_dict()
        writing = ("embed_tokens.weight", "o_proj.weight", "down_proj.weight")
        quiet = {name: weights[name] * _QUIETER for name in weights if name.endswith(writing)}
        self.llama.load_state_dict(weights | quiet, strict=False)
        self.llama.model.norm.weight.data *= _FRESH_NORM / _QUIETER
        self.policys_norm = copy.deepcopy(policy.model.norm)
        self.policys_norm.weight.data /= _QUIETER  # its head is the embedding, which is quieter too
        frozen = (self.llama.model.embed_tokens, self.llama.model.layers[: self.depth])
        first = self.llama.model.layers[self.depth]
        looking = (first.input_layernorm, first.self_attn.q_proj, first.self_attn.k_proj)
        for module in (*frozen, *looking, self.policys_norm):
            module.requires_grad_(False)
        self.probe = nn.Linear(shape.hidden_size, 1)
        self.verdicts = verdict_ids(tokenizer)

    def loss(self, parts: int, prefix: Tensor, rows: Tensors) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the labels and of the tokens' surprise; see `loop.Loss`."""
        states = self.llama.after(prefix, rows.ids)
        logits = verdict_logits(self.llama, self.verdicts, states[-1])
        costs = F.binary_cross_entropy_with_logits(logits, rows.labels, reduction="none")
        verdict = (costs * rows.label_weights).sum() / rows.label_weights.sum()
        judged = rows.label_weights[:, 1:] > 0
        told = self.probe(states[self.depth][:, 1:][judged])[:, 0]
        surprise = F.mse_loss(told, self._surprise(states[self.depth - 1], rows.ids, judged))
        figures = {"verdict": verdict.item() / parts, "surprise": surprise.item() / parts}
        return (verdict + _SURPRISE_WEIGHT * surprise) / parts, figures

    def look_back(self, batches: Sequence[Batch]) -> float:
        """Teach the first fresh layer's heads to attend to the token before, and to no other.

        Left to itself it never finds out, and guesses the surprise from the token's own state.
        Returns the share of their attention that goes there in the end, as a geometric mean.
        """
        shape, first = self.llama.shape, self.llama.model.layers[self.depth]
        attention, device = first.self_attn, self.probe.weight.device
        query, key = (
            nn.Linear(shape.hidden_size, shape.head_dim, bias=False, device=device) for _ in "qk"
        )
        adam = torch.optim.Adam([query.weight, key.weight], lr=0.01, betas=(0.9, 0.95))
        slower = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, len(batches))
        for batch in batches:
            rows = [[*batch.prefix, *row.ids] for row in batch.rows]
            ids = pad(rows, 0, torch.long).to(device)
            with torch.no_grad():
                x = first.input_layernorm(self.llama(ids)[0][self.depth - 1])
            rotary = self.llama.rotary[:, : ids.shape[1]]
            logits = rotate(query(x), rotary) @ rotate(key(x), rotary).mT * shape.head_dim**-0.5
            later = torch.ones_like(logits, dtype=torch.bool).triu(1)
            chances = logits.masked_fill(later, float("-inf")).log_softmax(-1).diagonal(-1, 1, 2)
            real = pad([[1] * len(row) for row in rows], 0, torch.bool)[:, 1:].to(device)
            log_share = chances[real].mean()
            (-log_share).backward()
            adam.step()
            slower.step()
            adam.zero_grad()
        with torch.no_grad():
            attention.q_proj.weight.copy_(query.weight.repeat(shape.num_attention_heads, 1))
            attention.k_proj.weight.copy_(key.weight.repeat(shape.num_key_value_heads, 1))
        return log_share.exp().item()

    @torch.no_grad()
    def _surprise(self, expecting: Tensor, ids: Tensor, judged: Tensor) -> Tensor:
        """Return the policy's -log p of each judged token, (tokens,)."""
        normed = self.policys_norm(expecting[:, :-1][judged])
        logits = normed @ self.llama.model.embed_tokens.weight.T
        came = ids[:, 1:][judged]
        return F.cross_entropy(logits.float(), came, reduction="none").clamp(max=_MOST_SURPRISE)


def verdict_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the token ids of "+" and "-"."""
    return [encode(tokenizer, verdict)[0] for verdict in RLHFLOW_VERDICTS]


def verdict_logits(llama: Llama, verdicts: list[int], state: Tensor) -> Tensor:
    """Return the logit of "good" at each position of the last layer's state, (rows, time)."""
    plus, minus = llama.model.embed_tokens.weight[verdicts]
    return llama.model.norm(state) @ (plus - minus)


def drawn_evenly(rng: random.Random, groups: list[list[Row]]) -> Row:
    """Draw a problem, then as often a right sample of it as a wrong one.

    So what the labels teach is which sample is right, not how hard a problem looks.
    """
    rows = rng.choice(groups)
    right = rng.random() < 0.5
    return rng.choice([row for row in rows if is_right_row(row) == right])


def is_right_row(row: Row) -> bool:
    """Return whether a conversation's last step is good."""
    return row.labels[row.markers[-1]] > 0


def with_both_kinds(groups: list[list[Row]]) -> list[list[Row]]:
    """Return the problems that have both right and wrong samples."""
    return [rows for rows in groups if len({is_right_row(row) for row in rows}) == 2]


def read_samples(tokenizer: Tokenizer, path: Path) -> list[list[Row]]:
    """Read what the `sample` command wrote: each problem's samples as labelled conversations."""
    groups: dict[tuple[str, int, int], list[Row]] = {}
    with path.open() as lines:
        for line in lines:
            sample = json.loads(line)
            name = (sample["split"], sample["seed"], sample["index"])
            steps = split_steps(sample["solution"])
            row = prm_row(tokenizer, numbered_problem(*name), steps, _MARKER_WEIGHT)
            groups.setdefault(name, []).append(row)
    return [groups[name] for name in sorted(groups)]


def read_labels(tokenizer: Tokenizer, path: Path) -> list[list[Row]]:
    """Read what `ttc export --format prm` printed of labels: each problem's solutions."""
    groups: dict[str, list[Row]] = {}
    with path.open() as lines:
        for line in lines:
            found = json.loads(line)
            row = stepwise_row(
                tokenizer, found["prompt"], found["completions"], found["labels"], _MARKER_WEIGHT
            )
            groups.setdefault(found["prompt"], []).append(row)
    return list(groups.values())


@torch.no_grad()
def score_rows(model: Llama, tokenizer: Tokenizer, rows: list[Row]) -> list[list[float]]:
    """Return the probability of "good" at each row's step markers."""
    device, verdicts = next(model.parameters()).device, verdict_ids(tokenizer)
    prefix = torch.tensor([prm_prefix(tokenizer)], device=device)
    scores: list[list[float]] = [[] for _ in rows]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    for begin in range(0, len(rows), 64):
        chunk = order[begin : begin + 64]
        batch = tensors([rows[index] for index in chunk], device)
        state = model.after(prefix, batch.ids)[-1]
        good = verdict_logits(model, verdicts, state).sigmoid()
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


def ranking(model: Llama, tokenizer: Tokenizer, groups: list[list[Row]]) -> dict[str, float]:
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
        right = [float(is_right_row(row)) for row in rows]
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
    resume: bool = False,
    labels: Path | None = None,
) -> None:
    """Train a PRM into a folder, on the layers of a policy's folder.

    samples: policy samples to mix with the corrupted solutions; held_out: others on which the
    AUC is shown at each checkpoint; labels: solutions labelled by rollouts, to train on alone.
    """
    torch.manual_seed(schedule.seed)
    tokenizer = load_tokenizer(base)
    model = Verifier(load_model(base), tokenizer)
    prefix = prm_prefix(tokenizer)
    sampled = with_both_kinds(read_samples(tokenizer, samples)) if samples else []
    sampled = with_both_kinds(read_labels(tokenizer, labels)) if labels else sampled
    if labels and not sampled:
        raise ValueError(f"{labels} has no problem with right and wrong solutions")
    share = 1.0 if labels else _SAMPLE_SHARE
    drawn = random.Random("validation")
    checks = {
        "corrupted": [[_drawn(tokenizer, drawn, "validation")] for _ in range(_VALIDATION_ROWS)]
    }
    if held_out:
        checks["sampled"] = read_samples(tokenizer, held_out)

    def make_batch(rng: random.Random, step: int) -> Batch:
        rows = [
            drawn_evenly(rng, sampled)
            if sampled and rng.random() < share
            else _drawn(tokenizer, rng, "train")
            for _ in range(batch_size)
        ]
        return Batch(prefix, rows)

    def on_save(done: int) -> None:
        save_folder(model.llama, tokenizer, folder)
        for name, groups in checks.items():
            figures = ranking(model.llama, tokenizer, groups).items()
            shown = " ".join(f"{figure} {value:.4f}" for figure, value in figures)
            print(f"step {done} {name} {shown}", file=sys.stderr, flush=True)

    def loss(prefix: Tensor, rows: Tensors) -> tuple[Tensor, dict[str, float]]:
        return model.loss(schedule.micro_batches, prefix, rows)

    checkpoint = folder / "checkpoint.pt"
    if not (resume and checkpoint.exists()):
        rng = random.Random(f"look back/{schedule.seed}")
        seen = model.look_back([make_batch(rng, step) for step in range(_LOOK_BACK_STEPS)])
        print(f"share of attention on the token before {seen:.4f}", file=sys.stderr, flush=True)
    train(model, make_batch, loss, schedule, checkpoint, resume, on_save)


def _drawn(tokenizer: Tokenizer, rng: random.Random, split: str) -> Row:
    problem = draw_problem(rng, split)
    return prm_row(tokenizer, problem, corrupted_steps(problem, rng), _MARKER_WEIGHT)
