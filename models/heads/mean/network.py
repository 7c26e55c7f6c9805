"""Mean: the mean of the heatmaps of all frames; not from a paper.

It has no parameters. Its gain over HRNet shows what stacking frames is worth without learning.
"""

from torch import Tensor, nn


class Mean(nn.Module):
    """The mean of the heatmaps of all frames."""

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return ``(B, K, H, W)``, the mean of T heatmaps ``(B, T, K, H, W)``."""
        return heatmaps.mean(dim=1)
