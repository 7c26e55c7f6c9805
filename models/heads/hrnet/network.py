"""The network of the system ``hrnet``: it has no parameters."""

from torch import Tensor, nn


class KeyFrame(nn.Module):
    """The cached heatmaps of the key frame, unchanged."""

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return ``(B, K, H, W)``, the middle one of T heatmaps ``(B, T, K, H, W)``."""
        return heatmaps[:, heatmaps.shape[1] // 2]
