"""A training run of a few seconds that can kill itself at a step; run by test_training.py."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.core.networks.weights import write_weights
from pipeline.core.schedule import Training
from pipeline.training.declarations import Batch
from pipeline.training.loop import LoopConfig, train
from pipeline.training.processes import DistributedContext, join_process_group

STEPS = 23
TRAINING = Training(
    epochs=0, steps=STEPS, batch=8, lr=0.01, weight_decay=0.05, milestones=[9, 17.0], decay=0.1,
    warm_up=4, clip=1.0, seed=5,
)  # fmt: skip


class Noise:
    """Batches that are a function of the step alone, two of them lost per epoch of 6."""

    steps_per_epoch = 6

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at = kill_at

    def batches(self, start: int, stop: int, context: DistributedContext) -> Iterator[Batch]:
        for step in range(start, stop):
            if step == self.kill_at and context.rank == context.world_size - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            random = torch.Generator().manual_seed(step)
            maps = torch.randn(8, 2, 6, 6, generator=random)[context.rank :: context.world_size]
            yield {"maps": maps, "target": maps.flip(1).cumsum(-1) / 6}


def build() -> nn.Module:
    """A network with batch norm, dropout and a parameter that no loss uses."""
    torch.manual_seed(TRAINING.seed)
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(6, 2, 3, padding=1),
    )  # fmt: skip
    network.register_parameter("unused", nn.Parameter(torch.ones(3)))
    return network


def loss(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    error = network(batch["maps"]) - batch["target"]
    return {"squared": error.square().mean(), "absolute": 0.1 * error.abs().mean()}


def run(folder: Path, kill_at: int | None, *, held_out: bool = False, every: int = 5) -> None:
    """Train, write the weights and the history into the folder."""
    torch.set_num_threads(1)
    with join_process_group("cpu") as context:
        network = build()
        value = (
            (lambda net: float(net(torch.ones(1, 2, 6, 6)).square().mean())) if held_out else None
        )
        config = LoopConfig(TRAINING, "train_tiny", folder, every, context, held_out=value)
        history = train(network, loss, Noise(kill_at), config)
        if context.rank == 0:
            write_weights(folder / "weights.safetensors", network.state_dict())
            history.write(folder / "history.csv")


def killed_and_resumed(folder: Path, kills: list[int]) -> None:
    """Run in child processes that die at the given steps, one after the other, then to the end."""
    torch.optim.AdamW([torch.zeros(1)])  # torch imports more with it: once here, not in each child
    for kill_at in [*kills, None]:
        child = os.fork()
        if child == 0:
            run(folder, kill_at, held_out=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        expected = 0 if kill_at is None else signal.SIGKILL
        if status != expected:
            raise SystemExit(f"kill at {kill_at}: status {status}")


if __name__ == "__main__":
    folder, *rest = sys.argv[1:]
    steps = [int(step) for step in rest]
    if "WORLD_SIZE" in os.environ:
        run(Path(folder), steps[0] if steps else None)
    else:
        killed_and_resumed(Path(folder), steps)
