"""The optimizers: Muon for the matrices, Adam for embeddings and norms.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks") steps by the
momentum's nearest semi-orthogonal matrix, found by a Newton-Schulz iteration.
"""

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalized(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return an approximation of UV^T of each matrix USV^T; the last two dimensions count.

    On a GPU the iteration runs in bfloat16, whose error is smaller than its own; most CPUs emulate
    that at a twentieth of single precision's speed.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = x.bfloat16() if x.is_cuda else x
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum steps along orthogonalized matrices."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Take one step."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                buffer = state.setdefault("momentum", torch.zeros_like(weight))
                buffer.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalized(weight.grad.lerp(buffer, group["momentum"]))
                scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * scale)


def make_optimizers(model: nn.Module, muon_lr: float, adam_lr: float) -> list:
    """Return Muon for the layers' matrices and Adam for all else that is to be trained."""
    matrices, others = list[Tensor](), list[Tensor]()
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            (matrices if weight.ndim == 2 and "layers" in name else others).append(weight)
    return [Muon(matrices, lr=muon_lr), torch.optim.Adam(others, lr=adam_lr, betas=(0.9, 0.95))]
