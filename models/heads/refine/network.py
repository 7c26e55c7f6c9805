"""Refine: residual blocks on the heatmaps of the key frame; not from a paper.

Its gain over the backbone comes from refinement of the heatmaps, not from motion.

Shapes: B clips, T frames with the key frame in the middle, K joints, H x W cells.
"""

from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import residual_head


class Refine(nn.Module):
    """Residual blocks on the heatmaps of the key frame.

    Args:
        joints: Number of joints K.
        channels: Width of the residual blocks.
        blocks: Number of residual blocks.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """

    def __init__(self, *, joints: int, channels: Positive, blocks: Positive) -> None:
        super().__init__()
        self.joints = joints
        self.head = residual_head(joints, joints, channels=channels, blocks=blocks)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return heatmaps of the key frame.

        Args:
            heatmaps: Initial heatmaps, ``(B, T, K, H, W)``.

        Returns:
            ``(B, K, H, W)``.

        Raises:
            ValueError: If ``heatmaps`` does not hold an odd number of frames of K joints.
        """
        frames = heatmaps.shape[1] if heatmaps.ndim == 5 else 0
        if frames % 2 == 0 or heatmaps.shape[2] != self.joints:
            raise ValueError(
                f"Refine needs heatmaps (B, T, {self.joints}, H, W) with T odd, "
                f"got {tuple(heatmaps.shape)}"
            )
        refined: Tensor = self.head(heatmaps[:, frames // 2])
        return refined
