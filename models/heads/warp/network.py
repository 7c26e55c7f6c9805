"""Warp: the layers of ``Fuse`` on heatmaps that are moved to the key frame; not from a paper.

Its gain over ``Fuse`` shows the value of following people by flow, since both have the same layers.

Shapes: B clips, T frames with the key frame in the middle, K joints, H x W cells.
"""

from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.stacked_heatmaps import StackedHeatmaps
from models.head_parts.warp import warp_to_key_frame


class Warp(nn.Module):
    """Residual blocks on the stacked heatmaps of all frames in the coordinates of the key frame.

    Args:
        joints: Number of joints K.
        frames: Number of frames T.
        channels: Width of the residual blocks.
        blocks: Number of residual blocks.
    """

    def __init__(self, *, joints: int, frames: int, channels: Positive, blocks: Positive) -> None:
        super().__init__()
        self.stacked = StackedHeatmaps(
            joints=joints, frames=frames, channels=channels, blocks=blocks
        )

    def forward(self, heatmaps: Tensor, flow: Tensor) -> Tensor:
        """Return heatmaps of the key frame, ``(B, K, H, W)``.

        Args:
            heatmaps: Initial heatmaps, ``(B, T, K, H, W)``.
            flow: (dx, dy) in cells from each frame to the next, ``(B, T - 1, 2, H, W)``.

        Raises:
            ValueError: If ``heatmaps`` does not hold T frames of K joints, or ``flow`` does not
                fit.
        """
        fused: Tensor = self.stacked(warp_to_key_frame(heatmaps, flow))
        return fused
