"""The run that fits a network: its schedule, its average, what it saves."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.core.networks.weights import read_weights
from pretrain.fitting import Fitting, _rate, fit

RUN = Fitting(
    seed=1,
    steps=40,
    batch=8,
    lr=0.05,
    warm_up=5,
    hold=0.0,
    weight_decay=0.1,
    clip=10.0,
    average=0.9,
    hidden_lr=0.0,
    bfloat16=False,
)


def source() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(2)
    while True:
        yield torch.randn(8, 3, generator=generator)


def loss(network: nn.Module, batch: Tensor) -> Tensor:
    wanted = batch @ torch.tensor([[1.0], [-2.0], [0.5]])
    return (network(batch) - wanted).square().mean()


def test_the_average_is_that_of_a_literal_run(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network, twin = nn.Linear(3, 1), nn.Linear(3, 1)
    twin.load_state_dict(network.state_dict())

    average = fit(network, loss, source(), RUN, tmp_path / "a.safetensors")

    optimizer = torch.optim.AdamW(
        [{"params": [twin.weight], "weight_decay": 0.0}, {"params": [twin.bias]}],
        lr=RUN.lr,
        betas=(0.9, 0.99),
        weight_decay=0.0,
    )
    mean = twin.weight.detach().clone()
    batches = source()
    for step in range(RUN.steps):
        done = (step - 5) / 35
        share = (step + 1) / 5 if step < 5 else 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = RUN.lr * share
        optimizer.zero_grad()
        loss(twin, next(batches)).backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 10.0)
        optimizer.step()
        keep = min(0.9, (step + 1) / (step + 51))
        mean = keep * mean + (1 - keep) * twin.weight.detach()
    torch.testing.assert_close(average.weight, mean)
    assert torch.equal(read_weights(tmp_path / "a.safetensors")["weight"], average.weight)
    assert not average.training


def test_a_held_rate_falls_over_the_steps_that_are_left() -> None:
    held = RUN.model_copy(update={"warm_up": 10, "steps": 110, "hold": 0.6})

    rates = [_rate(step, held) for step in range(111)]

    assert rates[:10] == [(step + 1) / 10 for step in range(10)]
    assert rates[10:71] == [1.0] * 61
    assert rates[90] == pytest.approx(0.5)
    assert rates[110] == pytest.approx(0.0)


def test_the_loss_comes_down(tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = nn.Linear(3, 1)
    before = loss(network, next(source())).item()

    average = fit(network, loss, source(), RUN, tmp_path / "a.safetensors")

    assert loss(average, next(source())).item() < before / 4


def test_hidden_matrices_take_muons_steps_of_equal_singular_values(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 1))
    before = network[0].weight.detach().clone()
    run = RUN.model_copy(update={"steps": 1, "warm_up": 1, "hidden_lr": 0.1, "weight_decay": 0.0})

    fit(network, loss, source(), run, tmp_path / "a.safetensors", [network[0].weight])

    # Muon's iteration brings the singular values of a step to about the learning rate, within
    # 0.7 to 1.2 of it (Jordan et al. 2024); the gradient's own differ by orders of magnitude.
    values = torch.linalg.svdvals(network[0].weight.detach() - before)
    assert 0.05 < values[0].item() < 0.15
