"""Train a module on one batch."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def learn_one_batch(
    module: nn.Module, loss: Callable[[], Mapping[str, Tensor]], *, steps: int
) -> tuple[list[float], set[str]]:
    """Train a module with AdamW at 0.01.

    Args:
        module: What is trained.
        loss: Returns the terms of the loss of the batch; one of them is ``heatmap``.
        steps: Steps to take.

    Returns:
        The heatmap loss before every step, and the names of the parameters that had a gradient
        other than zero in any step.
    """
    optimizer = torch.optim.AdamW(module.parameters(), 1e-2)
    losses = []
    reached: set[str] = set()
    for _ in range(steps):
        terms = loss()
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        optimizer.step()
        losses.append(terms["heatmap"].item())
        named = module.named_parameters()
        reached |= {name for name, p in named if p.grad is not None and p.grad.any()}
    return losses, reached
