"""DCPose, the heatmap head of Liu et al., "Deep Dual Consecutive Network" (CVPR 2021).

The head reads the heatmaps of three frames: previous, current (the key frame) and next. Section
names are those of the paper. Where the paper leaves a choice open, the docstring says what is ours.

Shapes: B clips, K joints, H x W cells of the heatmap grid, F channels of the fused feature.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import MinLen
from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import init_identity_channels_, initialize
from models.head_parts.deform import TAPS, modulated_deform_conv
from models.heads.dcpose.residual_steps import ResidualStepsBlock, residual_steps_chain

Dilations = Annotated[Sequence[Positive], MinLen(1)]

FRAMES = 3
NEIGHBOR_WEIGHT = 0.5
"""w_p = (n - c) / (n - p) and w_n = (c - p) / (n - p) of frames p < c < n. The frames of a clip are
equally far apart."""
FUSION_BLOCKS = 2
PEAK_DEVIATION = 0.1
"""Standard deviation of a heatmap with one peak of height 1, about. A norm divides by it; as the
initial scale of the norm, it keeps the height of the peaks."""


class PoseTemporalMerger(nn.Module):
    """One map per joint that shows where the joint can be: the search range (PTM).

    The heatmaps of the neighbors are weighted by their distance in time and stacked with the key
    frame's, ``3 K`` channels; one residual steps block maps them to ``K``.

    Args:
        joints: Number of joints K.
    """

    def __init__(self, *, joints: int) -> None:
        super().__init__()
        self.body = residual_steps_chain(FRAMES * joints, joints, blocks=1)
        _initialize(self)
        # Ours: the map starts as the key frame's heatmap.
        init_identity_channels_(self.body, 0, joints)
        nn.init.constant_(self.body.get_parameter("0.shortcut.1.weight"), PEAK_DEVIATION)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return ``(B, K, H, W)``, not negative, from heatmaps ``(B, 3, K, H, W)``."""
        before, current, after = heatmaps.unbind(1)
        stacked = (current, NEIGHBOR_WEIGHT * before, NEIGHBOR_WEIGHT * after)
        merged: Tensor = self.body(torch.cat(stacked, dim=1))
        return merged


class PoseResidualFusion(nn.Module):
    """A motion feature from the differences of heatmaps in both directions (PRF).

    Each joint has four channels side by side: the change from the previous frame, the same
    weighted, the change to the next frame, the same weighted. Two blocks map ``4 K`` to ``2 K``.

    Args:
        joints: Number of joints K.
    """

    def __init__(self, *, joints: int) -> None:
        super().__init__()
        self.body = residual_steps_chain(4 * joints, 2 * joints, blocks=FUSION_BLOCKS)
        _initialize(self)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return ``(B, 2 K, H, W)``, not negative, from heatmaps ``(B, 3, K, H, W)``."""
        fused: Tensor = self.body(pose_residuals(heatmaps))
        return fused


def pose_residuals(heatmaps: Tensor) -> Tensor:
    """Return the differences of each joint and the same weighted, ``(B, 4 K, H, W)``.

    Args:
        heatmaps: Heatmaps of previous, current and next frame, ``(B, 3, K, H, W)``.
    """
    changes = heatmaps.diff(dim=1)
    both = torch.stack([changes, NEIGHBOR_WEIGHT * changes], dim=2)  # (B, 2, 2, K, H, W)
    return both.flatten(1, 2).transpose(1, 2).flatten(1, 2)


class PoseCorrection(nn.Module):
    """Resample the merged map around each joint at several dilations (PCN).

    For every dilation, two 3x3 convolutions without bias predict offsets and masks from the fused
    feature; a modulated deformable convolution, with offsets per joint, reads the merged map. The
    result is the mean over the dilations. Masks pass through a sigmoid, as in the deformable
    convolution that the paper cites (DCNv2).

    Args:
        joints: Number of joints K.
        channels: Channels F of the fused feature.
        dilations: Cells between neighboring taps, one number per branch.
    """

    def __init__(self, *, joints: int, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.offsets = _branches(channels, joints * TAPS * 2, self.dilations)
        self.masks = _branches(channels, joints * TAPS, self.dilations)
        self.kernels = nn.Parameter(torch.zeros(len(self.dilations), joints, joints, 3, 3))
        for conv in (*self.offsets, *self.masks):
            nn.init.normal_(conv.get_parameter("weight"), std=0.001)
        with torch.no_grad():
            # The center of every kernel starts as the identity; 2, because masks start at 1/2.
            self.kernels[:, range(joints), range(joints), 1, 1] = 2

    def forward(self, merged: Tensor, fused: Tensor) -> Tensor:
        """Return the heatmaps of the key frame.

        Args:
            merged: Map to read, ``(B, K, H, W)``.
            fused: Feature that decides where to read, ``(B, F, H, W)``.

        Returns:
            ``(B, K, H, W)``.
        """
        found = [
            modulated_deform_conv(
                merged, offsets(fused), masks(fused).sigmoid(), kernel, dilation=dilation
            )
            for offsets, masks, kernel, dilation in zip(
                self.offsets, self.masks, self.kernels, self.dilations, strict=True
            )
        ]
        return torch.stack(found).mean(dim=0)


def _branches(channels: int, out_channels: int, dilations: Sequence[int]) -> nn.ModuleList:
    """Build one dilated 3x3 convolution without bias per dilation."""
    return nn.ModuleList(
        nn.Conv2d(channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False)
        for dilation in dilations
    )


class DCPose(nn.Module):
    """DCPose from the cached heatmaps of three frames to the heatmaps of the key frame.

    Args:
        joints: Number of joints K.
        frames: Frames per clip: 3.
        channels: Channels F of the fused feature; the paper: 64.
        dilations: Dilations of the deformable convolutions; the paper: 3, 6, 9, 12, 15 on 96 x 72
            cells.

    Raises:
        ValueError: If ``frames`` is not 3.
    """

    def __init__(
        self, *, joints: int, frames: int, channels: Positive, dilations: Dilations
    ) -> None:
        super().__init__()
        if frames != FRAMES:
            raise ValueError(f"DCPose needs clips of 3 frames (delta 1), got {frames} frames")
        self.joints = joints
        self.merger = PoseTemporalMerger(joints=joints)
        self.fusion = PoseResidualFusion(joints=joints)
        self.combine = residual_steps_chain(3 * joints, channels, blocks=FUSION_BLOCKS)
        self.correction = PoseCorrection(joints=joints, channels=channels, dilations=dilations)
        _initialize(self.combine)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return the heatmaps of the key frame.

        Args:
            heatmaps: Initial heatmaps, ``(B, 3, K, H, W)``, peaks of about 1.

        Returns:
            ``(B, K, H, W)``.

        Raises:
            ValueError: If the input is not of this shape.
        """
        if heatmaps.ndim != 5 or heatmaps.shape[1:3] != (FRAMES, self.joints):
            raise ValueError(
                f"DCPose needs heatmaps (B, 3, {self.joints}, H, W), got {tuple(heatmaps.shape)}"
            )
        merged = self.merger(heatmaps)
        fused = self.combine(torch.cat([self.fusion(heatmaps), merged], dim=1))
        corrected: Tensor = self.correction(merged, fused)
        return corrected


def _initialize(network: nn.Module) -> None:
    """Initialize convolutions; a block starts as its shortcut, like other heads' blocks."""
    initialize(network)
    for module in network.modules():
        if isinstance(module, ResidualStepsBlock):
            nn.init.zeros_(module.norm.weight)
