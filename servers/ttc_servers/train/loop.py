"""The training loop: batches by seed and step number, a schedule, checkpoints, resuming.

A batch depends on the seed and the step alone, so a resumed run ends with the same weights.
"""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ttc_servers.train.data import Batch, Row
from ttc_servers.train.llama import Layer, pad
from ttc_servers.train.optimizers import make_optimizers

MakeBatch = Callable[[random.Random, int], Batch]
"""A batch from a random source and the step's number."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """Rows as tensors of shape (rows, time), padded on the right."""

    ids: Tensor
    lm_weights: Tensor
    labels: Tensor
    label_weights: Tensor


Loss = Callable[[Tensor, Tensors], tuple[Tensor, dict[str, float]]]
"""The summed loss of a prefix, (1, time), and rows; and figures to average and show."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train; learning rates are peaks, decayed linearly to zero.

    compiled: compile the layers and multiply matrices in bfloat16.
    """

    steps: int
    muon_lr: float = 0.02
    adam_lr: float = 0.004
    warmup: int = 40
    micro_batches: int = 4
    seed: int = 0
    report_every: int = 20
    save_every: int = 200
    compiled: bool = False

    def rate(self, step: int) -> float:
        """Return the share of the peak learning rate at a step, counted from 0."""
        return min((step + 1) / self.warmup, (self.steps - step) / self.steps)


def train(
    model: nn.Module,
    make_batch: MakeBatch,
    loss: Loss,
    schedule: Schedule,
    checkpoint: Path,
    resume: bool,
    on_save: Callable[[int], None] = lambda step: None,
) -> None:
    """Train a model in place, saving a checkpoint now and then and at the end.

    on_save is called with the number of steps done after each checkpoint.
    """
    device = next(model.parameters()).device
    optimizers = make_optimizers(model, schedule.muon_lr, schedule.adam_lr)
    first = _load(checkpoint, model, optimizers) if resume and checkpoint.exists() else 0
    if schedule.compiled:
        for module in model.modules():
            if isinstance(module, Layer):
                module.compile(dynamic=True)
    started, tokens = time.monotonic(), 0
    figures: list[dict[str, float]] = []
    for step in range(first, schedule.steps):
        batch = make_batch(random.Random(f"{schedule.seed}/{step}"), step)
        tokens += sum(len(row.ids) for row in batch.rows)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.compiled):
            figures.append(_backward(batch, loss, schedule.micro_batches, device))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            peak = optimizer.defaults["lr"]
            optimizer.param_groups[0]["lr"] = peak * schedule.rate(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        done = step + 1
        if done % schedule.report_every == 0 or done == schedule.steps:
            _report(done, schedule.steps, figures, tokens / (time.monotonic() - started))
            figures.clear()
        if done % schedule.save_every == 0 or done == schedule.steps:
            _save(checkpoint, model, optimizers, done)
            on_save(done)


def _backward(batch: Batch, loss: Loss, parts: int, device: torch.device) -> dict[str, float]:
    """Add the gradients of a batch, in parts of rows of like length, and return its figures."""
    prefix = torch.tensor([batch.prefix], device=device)
    rows = sorted(batch.rows, key=lambda row: len(row.ids))
    size = -(-len(rows) // parts)
    totals: dict[str, float] = {}
    for begin in range(0, len(rows), size):
        value, figures = loss(prefix, tensors(rows[begin : begin + size], device))
        value.backward()
        for name, figure in figures.items():
            totals[name] = totals.get(name, 0.0) + figure
    return totals


def tensors(rows: list[Row], device: torch.device) -> Tensors:
    """Return rows as padded tensors; what is padded has no weight."""
    return Tensors(
        pad([row.ids for row in rows], 0, torch.long).to(device),
        pad([row.lm_weights for row in rows], 0, torch.float).to(device),
        pad([row.labels for row in rows], 0, torch.float).to(device),
        pad([row.label_weights for row in rows], 0, torch.float).to(device),
    )


def _report(done: int, steps: int, figures: list[dict[str, float]], rate: float) -> None:
    names = list(figures[0])
    means = {name: sum(f[name] for f in figures) / len(figures) for name in names}
    shown = " ".join(f"{name} {value:.4f}" for name, value in means.items())
    print(f"step {done}/{steps} {shown} {rate:.0f} tokens/s", file=sys.stderr, flush=True)


def _save(path: Path, model: nn.Module, optimizers: list, done: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "done": done,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _load(path: Path, model: nn.Module, optimizers: list) -> int:
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["done"]
