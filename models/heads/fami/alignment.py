"""Alignment of supporting features with the key frame: a translation, then deformable convolutions.

Shapes: B clips, F channels of the backbone features, C channels of the head, H x W cells, G offset
groups.
"""

import torch
from torch import Tensor, nn

from models.head_parts.blocks import ResidualBlock, initialize, residual_chain
from models.head_parts.deform import TAPS, modulated_deform_conv
from models.head_parts.warp import sample

HIDDEN = 16
"""Channels of the convolutions that find the translation."""
HALVINGS = 5
SIDE = 3
"""Side of the map that the linear layers read: 96 x 72 cells are 3 x 3 after five halvings. Maps of
other sizes are pooled to it, so that the layers have the paper's 16 * 9 = 144 inputs."""
LINEAR = 64
CALIBRATION_BLOCKS = 2


class GlobalTransformation(nn.Module):
    """Translate a support as a whole towards the key frame.

    The translation is found from the difference between support and key frame.

    Args:
        feature_channels: Channels F.
    """

    def __init__(self, *, feature_channels: int) -> None:
        super().__init__()
        self.block = ResidualBlock(feature_channels, HIDDEN)
        halvings = [
            layer
            for _ in range(HALVINGS)
            for layer in (nn.Conv2d(HIDDEN, HIDDEN, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        ]
        self.halvings = nn.Sequential(*halvings, nn.AdaptiveAvgPool2d(SIDE))
        self.linear = nn.Sequential(
            nn.Linear(HIDDEN * SIDE**2, LINEAR),
            nn.ReLU(inplace=True),
            nn.Linear(LINEAR, LINEAR),
            nn.ReLU(inplace=True),
            nn.Linear(LINEAR, 2),
        )
        initialize(self)
        # Ours: no translation at the start.
        for name in ("weight", "bias"):
            nn.init.zeros_(self.linear.get_parameter(f"4.{name}"))

    def translation(self, support: Tensor, key: Tensor) -> Tensor:
        """Return (dx, dy) in cells, ``(B, 2)``.

        Args:
            support: Features of a supporting frame, ``(B, F, H, W)``.
            key: Features of the key frame, ``(B, F, H, W)``.
        """
        found: Tensor = self.linear(self.halvings(self.block(support - key)).flatten(1))
        return found

    def forward(self, support: Tensor, key: Tensor) -> Tensor:
        """Return the support, read at every cell plus the translation, ``(B, F, H, W)``."""
        shift = self.translation(support, key)[:, :, None, None]
        return sample(support, shift.expand(-1, -1, *support.shape[-2:]))


class GuidedDeformation(nn.Module):
    """A modulated deformable convolution whose offsets and masks come from a guide.

    It starts as the identity (ours): no offsets, masks of 1/2, and 2 at the center of the kernel.

    Args:
        channels: Channels C of map and guide.
        offset_groups: Number G of groups of channels with separate offsets.
        dilation: Cells between neighboring taps.
    """

    def __init__(self, *, channels: int, offset_groups: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.offsets = nn.Conv2d(
            channels, offset_groups * TAPS * 2, 3, padding=dilation, dilation=dilation
        )
        self.masks = nn.Conv2d(
            channels, offset_groups * TAPS, 3, padding=dilation, dilation=dilation
        )
        for conv in (self.offsets, self.masks):
            nn.init.normal_(conv.weight, std=0.001)
            nn.init.zeros_(conv.get_parameter("bias"))
        self.kernel = nn.Parameter(torch.zeros(channels, channels, 3, 3))
        with torch.no_grad():
            self.kernel[range(channels), range(channels), 1, 1] = 2

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Return the convolved map ``(B, C, H, W)`` of a map and a guide ``(B, C, H, W)``."""
        masks = self.masks(guide).sigmoid()
        return modulated_deform_conv(
            x, self.offsets(guide), masks, self.kernel, dilation=self.dilation
        )


class LocalCalibration(nn.Module):
    """Refine a guide from support and key frame, then align the support along it.

    Two deformable convolutions refine the guide, each along itself; two more move the support.

    Args:
        feature_channels: Channels F of the key frame's features.
        channels: Channels C of support and guide.
        offset_groups: Number G of groups of channels with separate offsets.
        dilation: Cells between neighboring taps.
    """

    def __init__(
        self, *, feature_channels: int, channels: int, offset_groups: int, dilation: int
    ) -> None:
        super().__init__()
        self.guide = residual_chain(channels + feature_channels, channels, blocks=1)
        initialize(self.guide)
        shape = {"channels": channels, "offset_groups": offset_groups, "dilation": dilation}
        self.refine = nn.ModuleList(GuidedDeformation(**shape) for _ in range(2))
        self.align = nn.ModuleList(GuidedDeformation(**shape) for _ in range(2))

    def forward(self, support: Tensor, key: Tensor) -> Tensor:
        """Return the aligned support.

        Args:
            support: Fused features of the supporting frames, ``(B, C, H, W)``.
            key: Features of the key frame, ``(B, F, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        guide = self.guide(torch.cat([support, key], dim=1))
        for deform in self.refine:
            guide = deform(guide, guide)
        for deform in self.align:
            support = deform(support, guide)
        return support
