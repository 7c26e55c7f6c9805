"""Random clips whose tokens show where the joints are, as weakly as the tokens of a ViT do.

A ViT's tokens have a standard deviation of 0.82, of which 0.087 varies between clips.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.heads.vremd.network import VREMD
from models.heads.vremd.objective import VREMDObjective
from pipeline.core.schedule import Training
from pipeline.training.history import History
from pipeline.training.loop import LoopConfig, train
from pipeline.training.processes import DistributedContext

GRID = (8, 6)
CHANNELS, JOINTS, CLIPS = 32, 5, 64


def make_clips(seed: int = 0) -> dict[str, Tensor]:
    """Return tokens, target heatmaps and weights of clips whose joints move a little."""
    random = torch.Generator().manual_seed(seed)
    shared, codes = (
        torch.randn(*shape, generator=random)
        for shape in ((GRID[0] * GRID[1], CHANNELS), (JOINTS, CHANNELS))
    )
    limits = torch.tensor(GRID) - 1.0
    places = torch.rand(CLIPS, 1, JOINTS, 2, generator=random) * limits
    moved = places + 0.3 * torch.randn(CLIPS, 3, JOINTS, 2, generator=random)
    near = _bumps(moved, GRID, 1.0).flatten(-2)
    signal = torch.einsum("btjn,jc->btnc", near, codes)
    noise = torch.randn(signal.shape, generator=random)
    tokens = 0.8 * shared + 0.087 * (signal / signal.std() + 0.5 * noise)
    target = _bumps(4 * moved[:, 1] + 1.5, (4 * GRID[0], 4 * GRID[1]), 1.5)
    return {"tokens": tokens, "target": target, "weights": torch.ones(CLIPS, JOINTS)}


def _bumps(places: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    down, across = (
        torch.exp(-(((torch.arange(cells) - places[..., axis, None]) / sigma) ** 2) / 2)
        for axis, cells in enumerate(size)
    )
    return down[..., :, None] * across[..., None, :]


class ClipFeed:
    """Batches of random clips, a function of the step alone."""

    def __init__(self, batch: int) -> None:
        self.clips = make_clips()
        self.batch = batch
        self.steps_per_epoch = CLIPS // batch

    def batches(
        self, start: int, stop: int, context: DistributedContext
    ) -> Iterator[dict[str, Tensor]]:
        del context
        for step in range(start, stop):
            chosen = torch.randperm(CLIPS, generator=torch.Generator().manual_seed(step))
            yield {name: values[chosen[: self.batch]] for name, values in self.clips.items()}


def build(*, width: int = 32, keypoint_loss: float = 1.5, **changes: object) -> VREMDObjective:
    """Build the head for the clips, with the default's settings unless changed."""
    torch.manual_seed(0)
    depths = {f"{name}_depth": 2 for name in ("human", "keypoint", "spatial", "temporal", "motion")}
    sizes: dict[str, Any] = {
        "joints": JOINTS, "frames": 3, "grid": GRID, "embed_dim": CHANNELS, "width": width,
        "heads": 4, "mlp_ratio": 2, "motion_heads": 4, "points": 4, "offset_range": 4.0,
        "decoder_channels": (32, 32), "decoder_kernels": (2, 2), "position_scale": 0.5,
        "keypoint_hidden": 4, "transformer_rate": 0.17,
    }  # fmt: skip
    return VREMDObjective(head=VREMD(**{**sizes, **depths, **changes}), keypoint_loss=keypoint_loss)


def run(
    objective: VREMDObjective,
    folder: Path,
    *,
    batch: int = 16,
    standardize: bool = True,
    **schedule: object,
) -> History:
    """Train the head on the clips for some steps."""
    feed = ClipFeed(batch)
    if standardize:
        objective.head.fit_statistics([feed.clips])
    values: dict[str, Any] = {
        "epochs": 0, "steps": 60, "batch": batch, "lr": 0.006, "weight_decay": 0.01,
        "milestones": [], "decay": 0.1, "warm_up": 20, "clip": 1.0, "seed": 0,
    }  # fmt: skip
    config = LoopConfig(
        training=Training(**{**values, **schedule}),
        section="train_vremd",
        folder=folder,
        checkpoint_every=1000,
        context=DistributedContext(torch.device("cpu"), rank=0, world_size=1),
        exported_module=_head,
    )
    return train(objective, lambda network, batch: network(batch), feed, config)


def _head(objective: nn.Module) -> nn.Module:
    return objective.get_submodule("head")
