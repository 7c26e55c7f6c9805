"""Controls of the heatmap heads: plain convolutions on one frame's heatmaps, or on all frames'.

What ``Refine`` gains over the backbone is due to a second look, not to motion; what ``Fuse``
gains over ``Refine`` needs several frames, but no flow. Neither is from a paper.

Shapes: B clips, T frames with the key frame in the middle, K joints, H x W cells.
"""

from torch import Tensor, nn

from models.heads.blocks import conv_norm, heatmap_layer, initialize, residual_chain


class Refine(nn.Module):
    """Residual blocks on the key frame's heatmaps alone.

    Args:
        joints: Number of joints K.
        channels: Width of the residual blocks.
        blocks: Number of residual blocks.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """

    def __init__(self, *, joints: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.joints = joints
        self.head = _residual_head(joints, joints, channels=channels, blocks=blocks)

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


class Fuse(nn.Module):
    """Residual blocks on the stacked heatmaps of all frames.

    Args:
        joints: Number of joints K.
        frames: Number of frames T.
        channels: Width of the residual blocks.
        blocks: Number of residual blocks.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """

    def __init__(self, *, joints: int, frames: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.joints = joints
        self.frames = frames
        self.head = _residual_head(frames * joints, joints, channels=channels, blocks=blocks)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return heatmaps of the key frame.

        Args:
            heatmaps: Initial heatmaps, ``(B, T, K, H, W)``.

        Returns:
            ``(B, K, H, W)``.

        Raises:
            ValueError: If ``heatmaps`` does not hold T frames of K joints.
        """
        if heatmaps.ndim != 5 or heatmaps.shape[1:3] != (self.frames, self.joints):
            raise ValueError(
                f"Fuse needs heatmaps (B, {self.frames}, {self.joints}, H, W), "
                f"got {tuple(heatmaps.shape)}"
            )
        fused: Tensor = self.head(heatmaps.flatten(1, 2))
        return fused


def _residual_head(in_channels: int, joints: int, *, channels: int, blocks: int) -> nn.Sequential:
    body = (conv_norm(in_channels, channels), residual_chain(channels, channels, blocks=blocks))
    for part in body:
        initialize(part)
    return nn.Sequential(*body, heatmap_layer(channels, joints))
