"""FAMI-Pose, the feature head of Liu et al. (CVPR 2022).

"Temporal Feature Alignment and Mutual Information Maximization for Video-Based Human Pose
Estimation"; section names are those of the paper.

Where the paper leaves a choice open, the docstrings say what is ours.

Shapes: B clips, T frames with the key frame in the middle, K joints, F channels of the backbone
features, C channels of the head, H x W cells of the heatmap grid.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import heatmap_layer, initialize, residual_chain
from models.heads.fami.alignment import CALIBRATION_BLOCKS, GlobalTransformation, LocalCalibration

DETECTION_BLOCKS = 3


class FAMIOutput(NamedTuple):
    """Output of FAMI-Pose: heatmaps, and the features that its loss compares."""

    heatmaps: Tensor
    """Heatmaps of the key frame, ``(B, K, H, W)``."""
    key: Tensor
    """Backbone features of the key frame z_t, ``(B, F, H, W)``."""
    support: Tensor
    """Aligned features of the supporting frames, ``(B, C, H, W)``."""
    fused: Tensor
    """Feature that the last layer reads, ``(B, C, H, W)``."""


class FAMI(nn.Module):
    """FAMI-Pose from cached backbone features to the heatmaps of the key frame.

    Every supporting frame is translated towards the key frame (global transformation). The
    translated frames are fused and aligned once more by deformable convolutions (local
    calibration). Support and key frame are fused, and a 3x3 convolution makes the heatmaps.

    Args:
        joints: Number of joints K.
        frames: Frames T per clip, odd, at least 3; the paper: 5.
        feature_channels: Channels F of the backbone features.
        channels: Channels C; the paper: 48.
        offset_groups: Groups of channels with separate offsets, divides C; the paper: 12.
        dilation: Cells between taps of the deformable convolutions; the paper: 3.

    Raises:
        ValueError: If ``frames`` is even or below 3, or ``offset_groups`` does not divide C.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,
        feature_channels: int,
        channels: Positive,
        offset_groups: Positive,
        dilation: Positive,
    ) -> None:
        super().__init__()
        if frames < 3 or frames % 2 == 0:
            raise ValueError(f"FAMI needs an odd number of frames, 3 or more, got {frames}")
        if channels % offset_groups:
            raise ValueError(
                f"FAMI's offset_groups has to divide channels={channels}, got {offset_groups}"
            )
        self.joints, self.frames, self.feature_channels = joints, frames, feature_channels
        self.transformations = nn.ModuleList(
            GlobalTransformation(feature_channels=feature_channels) for _ in range(frames - 1)
        )
        self.fuse = residual_chain(
            (frames - 1) * feature_channels, channels, blocks=CALIBRATION_BLOCKS
        )
        self.calibration = LocalCalibration(
            feature_channels=feature_channels,
            channels=channels,
            offset_groups=offset_groups,
            dilation=dilation,
        )
        self.detect = residual_chain(channels + feature_channels, channels, blocks=DETECTION_BLOCKS)
        self.head = heatmap_layer(channels, joints)
        initialize(self.fuse)
        initialize(self.detect)

    def forward(self, features: Tensor) -> FAMIOutput:
        """Return the heatmaps of the key frame and the features for the loss.

        Args:
            features: Backbone features of all frames, ``(B, T, F, H, W)``.

        Raises:
            ValueError: If the input is not of this shape.
        """
        if features.ndim != 5 or features.shape[1:3] != (self.frames, self.feature_channels):
            raise ValueError(
                f"FAMI needs features (B, {self.frames}, {self.feature_channels}, H, W), "
                f"got {tuple(features.shape)}"
            )
        frames = list(features.unbind(1))
        key = frames.pop(self.frames // 2)
        translated = [
            transform(support, key)
            for transform, support in zip(self.transformations, frames, strict=True)
        ]
        support = self.calibration(self.fuse(torch.cat(translated, dim=1)), key)
        fused = self.detect(torch.cat([support, key], dim=1))
        return FAMIOutput(self.head(fused), key, support, fused)
