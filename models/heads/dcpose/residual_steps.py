"""The residual steps block, of which DCPose consists (Cai et al., RSN, ECCV 2020, Sec. 3.2).

Shapes: B clips, H x W cells, four branches of w channels.
"""

from typing import cast

import torch
from torch import Tensor, nn

from models.head_parts.blocks import conv_norm

BRANCHES = 4
BRANCH_SHARE = 26 / 64
"""Channels of a branch per input channel of the block."""


class ResidualStepsBlock(nn.Module):
    """Four branches of 3x3 convolutions that read each other, between two 1x1 convolutions.

    Branch i has i convolutions. Its first one reads its share x_i of the channels; all but its
    last one also read the result of the preceding branch at the same step:

        y(i, 1) = conv(x_i + y(i-1, 1)),  y(i, j) = conv(y(i, j-1) + y(i-1, j)),  y(i, 0) = x_i

    with y(i-1, j) = 0 for j = i. The block returns relu(mix(y(1, 1), ..., y(4, 4)) + shortcut).

    Args:
        in_channels: Input channels.
        out_channels: Output channels. The shortcut is a 1x1 convolution with norm if they differ
            from the input channels, otherwise the identity.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = int(BRANCH_SHARE * in_channels)
        if width < 1:
            raise ValueError(f"ResidualStepsBlock needs 3 or more channels, got {in_channels}")
        self.split = conv_norm(in_channels, BRANCHES * width, kernel_size=1)
        self.branches = nn.ModuleList(
            nn.ModuleList(conv_norm(width, width) for _ in range(branch))
            for branch in range(1, BRANCHES + 1)
        )
        self.mix = nn.Conv2d(BRANCHES * width, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = conv_norm(in_channels, out_channels, kernel_size=1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``, not negative."""
        preceding: list[Tensor] = []
        last = []
        for part, branch in zip(self.split(x).chunk(BRANCHES, dim=1), self.branches, strict=True):
            found = [part]
            for step, conv in enumerate(cast("nn.ModuleList", branch)):
                read = found[-1] + preceding[step] if step < len(preceding) else found[-1]
                found.append(conv(read))
            preceding = found[1:]
            last.append(found[-1])
        mixed = self.norm(self.mix(torch.cat(last, dim=1)))
        return torch.relu(mixed + self.shortcut(x))


def residual_steps_chain(in_channels: int, out_channels: int, *, blocks: int) -> nn.Sequential:
    """Build ``blocks`` residual steps blocks in a row; the first one changes the width."""
    widths = [in_channels, *[out_channels] * blocks]
    return nn.Sequential(*map(ResidualStepsBlock, widths[:-1], widths[1:]))
