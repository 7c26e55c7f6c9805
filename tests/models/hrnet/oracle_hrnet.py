"""Literal HRNet after Sun et al. (CVPR 2019) on a dict of tensors under the official names.

All operations, including batch normalization, are explicit, so every tensor gets a gradient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.base.normalization import MEAN, STD

Weights = dict[str, Tensor]


def conv_norm(x: Tensor, w: Weights, conv: str, norm: str, stride: int = 1) -> Tensor:
    kernel = w[f"{conv}.weight"]
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    mean, var, scale, shift = (
        w[f"{norm}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def residual(x: Tensor, w: Weights, name: str) -> Tensor:
    """Apply a basic block (two 3x3) or a bottleneck (1x1, 3x3, 1x1) of ResNet."""
    convolutions = 3 if f"{name}.conv3.weight" in w else 2
    y = x
    for i in range(1, convolutions + 1):
        y = conv_norm(y, w, f"{name}.conv{i}", f"{name}.bn{i}")
        y = F.relu(y) if i < convolutions else y
    if f"{name}.downsample.0.weight" in w:
        x = conv_norm(x, w, f"{name}.downsample.0", f"{name}.downsample.1")
    return F.relu(x + y)


def fuse(maps: list[Tensor], w: Weights, name: str, rows: int) -> list[Tensor]:
    """Sum all resolutions at each resolution: 1x1 and nearest up, strided 3x3 down."""
    sums = []
    for i in range(rows):
        parts = []
        for j, x in enumerate(maps):
            at = f"{name}.fuse_layers.{i}.{j}"
            if j > i:
                small = conv_norm(x, w, f"{at}.0", f"{at}.1")
                parts.append(F.interpolate(small, scale_factor=2 ** (j - i), mode="nearest"))
                continue
            small = x
            for k in range(i - j):
                small = conv_norm(small, w, f"{at}.{k}.0", f"{at}.{k}.1", stride=2)
                small = F.relu(small) if k < i - j - 1 else small
            parts.append(small)
        sums.append(F.relu(sum(parts[1:], start=parts[0])))
    return sums


def literal_hrnet(images: Tensor, w: Weights, modules: tuple[int, ...]) -> Tensor:
    """Return the high-resolution maps; ``modules`` counts the modules of stages 2 to 4."""
    x = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    for i in (1, 2):
        x = F.relu(conv_norm(x, w, f"conv{i}", f"bn{i}", stride=2))
    maps = [residual(x, w, "layer1.0")]
    for stage, count in zip((2, 3, 4), modules, strict=True):
        lowest = maps[-1]
        at = f"transition{stage - 1}"
        if stage == 2:
            maps = [F.relu(conv_norm(lowest, w, f"{at}.0.0", f"{at}.0.1"))]
        lower = f"{at}.{len(maps)}.0"
        maps.append(F.relu(conv_norm(lowest, w, f"{lower}.0", f"{lower}.1", stride=2)))
        for m in range(count):
            name = f"stage{stage}.{m}"
            maps = [residual(x, w, f"{name}.branches.{b}.0") for b, x in enumerate(maps)]
            last = stage == 4 and m == count - 1
            maps = fuse(maps, w, name, rows=1 if last else len(maps))
    return maps[0]
