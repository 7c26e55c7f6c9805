"""Residual blocks on the stacked heatmaps of all frames: the layers that several controls share.

Shapes: B clips, T frames with the key frame in the middle, K joints, H x W cells.
"""

from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import residual_head


class StackedHeatmaps(nn.Module):
    """Residual blocks on the stacked heatmaps of all frames.

    Args:
        joints: Number of joints K.
        frames: Number of frames T.
        channels: Width of the residual blocks.
        blocks: Number of residual blocks.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """

    def __init__(self, *, joints: int, frames: int, channels: Positive, blocks: Positive) -> None:
        super().__init__()
        self.joints = joints
        self.frames = frames
        self.head = residual_head(frames * joints, joints, channels=channels, blocks=blocks)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return heatmaps of the key frame.

        Args:
            heatmaps: Heatmaps of all frames, ``(B, T, K, H, W)``.

        Returns:
            ``(B, K, H, W)``.

        Raises:
            ValueError: If ``heatmaps`` does not hold T frames of K joints.
        """
        if heatmaps.ndim != 5 or heatmaps.shape[1:3] != (self.frames, self.joints):
            raise ValueError(
                f"stacked heatmaps: expected (B, {self.frames}, {self.joints}, H, W), "
                f"got {tuple(heatmaps.shape)}"
            )
        stacked: Tensor = self.head(heatmaps.flatten(1, 2))
        return stacked
