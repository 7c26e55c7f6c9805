"""How every network here is fitted: AdamW or Muon, warm-up, cosine, an average of the weights.

What ships is the average: late in a short run on small batches it is better than the last step,
and it is worth shipping before the learning rate has come down.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import typer
from pydantic import Field
from torch import Tensor, nn

from pipeline.core.networks.weights import write_weights
from pipeline.core.params import Section

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Batch = TypeVar("Batch")

_REPORT_EVERY = 100
_SAVE_EVERY = 500


class Fitting(Section):
    """Params of one run."""

    seed: int
    """Seed of the first weights."""
    steps: Count
    """Steps of the optimizer."""
    batch: Count
    """Samples per step."""
    lr: Positive
    """Highest learning rate; it rises linearly to it and falls to 0 along half a cosine."""
    hold: Annotated[float, Field(ge=0, lt=1)]
    """Share of the steps after the rise that keep the highest rate before it falls."""
    warm_up: Count
    """Steps of the rise."""
    weight_decay: Annotated[float, Field(ge=0)]
    """AdamW's decoupled weight decay."""
    clip: Positive
    """Largest norm of the gradient; longer ones are scaled down."""
    average: Annotated[float, Field(ge=0, lt=1)]
    """Share of the old average that a step keeps, once enough steps have passed."""
    hidden_lr: Annotated[float, Field(ge=0)]
    """Highest learning rate of Muon on the hidden matrices; 0 leaves them to AdamW."""
    bfloat16: bool
    """Whether the forward pass computes in bfloat16; the weights stay float32."""


def fit(
    network: nn.Module,
    loss: Callable[[nn.Module, Batch], Tensor],
    batches: Iterator[Batch],
    params: Fitting,
    out: Path,
    hidden: Sequence[nn.Parameter] = (),
) -> nn.Module:
    """Fit a network and return the average of its weights, in evaluation mode.

    Args:
        network: What is fitted, in place.
        loss: Scalar to minimize, from the network and a batch.
        batches: Endless source of batches.
        params: Params of the run.
        out: File that the average is saved to every few hundred steps and at the end.
        hidden: Matrices of a transformer's blocks, for Muon (Jordan et al. 2024): its steps have
            all singular values alike, from which a ViT learns more per step than from AdamW's.
    """
    network.train()
    optimizers = _optimizers(network, params, hidden if params.hidden_lr else ())
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(one, lambda step: _rate(step, params))
        for one in optimizers
    ]
    average = copy.deepcopy(network).eval()
    recent = 0.0
    for step in range(1, params.steps + 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=params.bfloat16):
            value = loss(network, next(batches))
        network.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(network.parameters(), params.clip)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        # Early weights are far from any good: the average forgets them before it settles.
        _move(average, network, 1 - min(params.average, step / (step + 50)))
        recent += value.item()
        if step % _REPORT_EVERY == 0:
            typer.echo(f"step {step} of {params.steps}: loss {recent / _REPORT_EVERY:.5f}")
            recent = 0.0
        if step % _SAVE_EVERY == 0 or step == params.steps:
            write_weights(out, average.state_dict())
    return average


@torch.no_grad()
def _move(average: nn.Module, network: nn.Module, share: float) -> None:
    """Move the average towards the network, statistics of batch norm included."""
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for mean, value in pairs:
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def _optimizers(
    network: nn.Module, params: Fitting, hidden: Sequence[nn.Parameter]
) -> list[torch.optim.Optimizer]:
    """Return AdamW and, for the hidden matrices if there are any, Muon.

    Norms, biases and positions have no weight decay: they have no scale to shrink.
    """
    by_muon = {id(parameter) for parameter in hidden}
    others = [p for p in network.parameters() if id(p) not in by_muon]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others if p.ndim > 1 and p.shape[0] > 1]},
        {"params": [p for p in others if p.ndim <= 1 or p.shape[0] == 1], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=params.lr, betas=(0.9, 0.99), weight_decay=params.weight_decay)
    ]
    if hidden:
        muon = torch.optim.Muon(
            list(hidden), lr=params.hidden_lr, weight_decay=params.weight_decay, momentum=0.95
        )
        optimizers.append(muon)
    return optimizers


def _rate(step: int, params: Fitting) -> float:
    """Return the learning rate of a step as a share of the highest."""
    if step < params.warm_up:
        return (step + 1) / params.warm_up
    done = (step - params.warm_up) / max(params.steps - params.warm_up, 1)
    done = max(done - params.hold, 0.0) / (1 - params.hold)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
