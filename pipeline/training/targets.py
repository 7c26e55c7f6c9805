"""Target heatmaps and joint weights of a batch of clips, on any device."""

import torch
from torch import Tensor

from pipeline.core.grid import STRIDE
from pipeline.training.target_params import Occluded


def make_targets(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float
) -> Tensor:
    """Return the heatmaps of ``pipeline.core.heatmap.encode`` for a batch of people.

    The Gaussian is separable: the factors along rows and columns are computed in float64 and their
    product in float32. The result differs from ``encode`` by rounding.

    Args:
        keypoints: Joints, ``(B, K, 2)``, crop pixels, float64.
        visible: 0 no label or outside the crop, 1 occluded, 2 visible, ``(B, K)``.
        heatmap_size: Rows h and columns w of the grid.
        sigma: Standard deviation of the Gaussians, cells.

    Returns:
        Heatmaps ``(B, K, h, w)``, float32, peak about 1; zero for joints without a label.
    """
    cells_xy = keypoints.double() / STRIDE
    # The coordinates of a joint without a label are arbitrary and may be NaN.
    cells_xy = torch.where(visible[..., None] > 0, cells_xy, torch.inf)
    down, across = (
        torch.exp(-((torch.arange(cells, device=keypoints.device) - center) ** 2) / (2 * sigma**2))
        for cells, center in zip(heatmap_size, (cells_xy[..., 1:], cells_xy[..., :1]), strict=True)
    )
    return down.float()[..., :, None] * across.float()[..., None, :]


def joint_weights(visible: Tensor, occluded: Occluded) -> Tensor:
    """Return the weight of every joint in the loss: 1 if it is supervised, otherwise 0.

    Args:
        visible: 0 no label or outside the crop, 1 occluded, 2 visible, ``(B, K)``.
        occluded: Whether the loss uses or ignores occluded joints.
    """
    return (visible >= (1 if occluded == "train" else 2)).float()
