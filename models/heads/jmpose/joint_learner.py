"""Motion and joint feature of JM-Pose (MM 2024, Sec. 3.1, Eqs. 1 to 5).

Shapes: B clips, T frames, K joints, C channels, H x W cells, G offset groups.
"""

import torch
from torch import Tensor, nn

from models.head_parts.blocks import ResidualBlock, conv_norm, residual_chain
from models.head_parts.deform import TAPS, modulated_deform_conv

MOTION_BLOCKS = 2
"""Residual blocks that embed the motion; the paper describes no embedding of RAFT's flow."""


class MotionEmbedding(nn.Module):
    """Motion M_t of the clip, from flow or from differences of features (Eq. 1).

    Args:
        in_channels: Channels of all frame steps together.
        channels: Width C of the motion feature.
    """

    def __init__(self, *, in_channels: int, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(in_channels, channels),
            residual_chain(channels, channels, blocks=MOTION_BLOCKS),
        )

    def forward(self, steps: Tensor) -> Tensor:
        """Return the motion feature.

        Args:
            steps: Motion of each frame step, in order, ``(B, T - 1, D, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        embedded: Tensor = self.body(steps.flatten(1, 2))
        return embedded


class ContextAwareJointLearner(nn.Module):
    """Joint feature gathered from the motion around each joint (Sec. 3.1, Eqs. 2-5).

    Heatmaps and motion are fused; two branches with separate weights predict sampling offsets and
    modulation weights from the fused map; a modulated deformable convolution then reads the motion
    at these positions. Heatmaps thus control the sampling but are not sampled themselves.

    Args:
        joints: Number of joints K.
        channels: Width C of the motion and the joint feature.
        offset_groups: Number G of groups of channels with separate offsets.
        dilation: Cells between neighboring taps of the convolution.
    """

    def __init__(self, *, joints: int, channels: int, offset_groups: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.fuse = residual_chain(joints + channels, channels, blocks=1)
        self.offset_block = ResidualBlock(channels, channels)
        self.offsets = nn.Conv2d(
            channels, offset_groups * TAPS * 2, 3, padding=dilation, dilation=dilation
        )
        self.mask_block = ResidualBlock(channels, channels)
        self.masks = nn.Conv2d(
            channels, offset_groups * TAPS, 3, padding=dilation, dilation=dilation
        )
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        # Without a norm, the constant part of the samples dominates the modulated part.
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, heatmaps: Tensor, motion: Tensor) -> Tensor:
        """Return the joint feature J_t of every clip.

        Args:
            heatmaps: Aggregated heatmaps, ``(B, K, H, W)``.
            motion: Motion feature M_t, ``(B, C, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        fused = self.fuse(torch.cat([heatmaps, motion], dim=1))
        gathered = modulated_deform_conv(
            motion,
            self.offsets(self.offset_block(fused)),
            # The paper names no activation; DCNv2, which it cites for Eq. 5, has the sigmoid.
            self.masks(self.mask_block(fused)).sigmoid(),
            self.weight,
            dilation=self.dilation,
        )
        feature: Tensor = self.norm(gathered)
        return feature


class HeatmapProjection(nn.Module):
    """Replaces the joint learner in the ablation without it (table 5, w/o CJL).

    The paper uses the heatmaps directly; a 1x1 convolution maps them to the width C.

    Args:
        joints: Number of joints K.
        channels: Width C of the joint feature.
    """

    def __init__(self, *, joints: int, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(joints, channels, 1)

    def forward(self, heatmaps: Tensor, _motion: Tensor) -> Tensor:
        """Return ``(B, C, H, W)`` from heatmaps ``(B, K, H, W)``; the motion is not read."""
        feature: Tensor = self.widen(heatmaps)
        return feature
