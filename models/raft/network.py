"""RAFT (Teed and Deng, ECCV 2020), torchvision's, from uint8 crops to flow on the heatmap's grid.

Two habits of the released pose code are left out on purpose: it hands ImageNet-normalized images
to a network that scales 0..255 itself, so that RAFT sees an almost constant picture, and it reads
flow from the key frame to each neighbor where the paper's Eq. 1 takes consecutive frames.

Shapes: B pairs of images, H x W pixels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

_VARIANTS = ("raft_large", "raft_small")
_SMALLEST = 128
"""Below 128 pixels a level of RAFT's correlation pyramid is one cell wide and samples are NaN."""
_STRIDE = 8
HEATMAP_STRIDE = 4
"""Pixels per heatmap cell: cell i lies on pixel 4i."""


class RAFTFlow(nn.Module):
    """RAFT with its input scaled and padded as it expects, and the padding cut off again.

    Args:
        network: RAFT of torchvision.
        updates: Number of refinements of the flow (the paper's iterations).
    """

    def __init__(self, *, network: nn.Module, updates: int) -> None:
        super().__init__()
        self.network = network
        self.num_updates = updates

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return where every pixel of the first image has gone in the second.

        Args:
            first: RGB, ``(B, 3, H, W)``, uint8, or float in [0, 255].
            second: The image that follows, likewise.

        Returns:
            Flow (dx, dy) in pixels, ``(B, 2, H, W)``.

        Raises:
            ValueError: If an image is not in [0, 255] (see ``scale_to_raft_range``).
        """
        return self.refinements(first, second)[-1]

    def refinements(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Return the flow after each update, ``(B, 2, H, W)``; RAFT's loss sums over them (Eq. 7).

        Args:
            first: RGB, ``(B, 3, H, W)``, uint8, or float in [0, 255].
            second: The image that follows, likewise.

        Raises:
            ValueError: If an image is not in [0, 255] (see ``scale_to_raft_range``).
        """
        height, width = first.shape[-2:]
        top, bottom = _padding(height)
        left, right = _padding(width)
        sides = (left, right, top, bottom)
        images = [F.pad(scale_to_raft_range(x), sides, mode="replicate") for x in (first, second)]
        flows = self.network(*images, num_flow_updates=self.num_updates)
        return [flow[..., top : top + height, left : left + width] for flow in flows]


def _padding(length: int) -> tuple[int, int]:
    """Return the pixels to add at both ends of a side: to 128 at least, to a multiple of 8."""
    padded = max(_SMALLEST, -(-length // _STRIDE) * _STRIDE)
    before = (padded - length) // 2
    return before, padded - length - before


def scale_to_raft_range(images: Tensor) -> Tensor:
    """Scale RGB from [0, 255] to [-1, 1], RAFT's range (official raft.py, forward).

    Args:
        images: ``(B, 3, H, W)``, uint8, or float in [0, 255].

    Raises:
        ValueError: If float values leave [0, 255] (an image normalized with ImageNet's mean and
            deviation does) or look scaled to [0, 1] (fractions, none above 1).
    """
    if not images.is_floating_point():
        return images.float() / 127.5 - 1
    low, high = images.min().item(), images.max().item()
    unit = high <= 1 and bool((images != images.round()).any())
    if low < 0 or high > 255 or unit:
        raise ValueError(
            f"RAFT input: expected RGB in [0, 255], got floats from {low:.3f} to {high:.3f}; hand "
            "over the uint8 crops, not images normalized or scaled for another network"
        )
    return images.float() / 127.5 - 1


def cells_from_pixels(flow: Tensor) -> Tensor:
    """Bring flow from the pixels' grid to the heatmap's: positions and vectors.

    A cell's vector is the mean over the 5x5 pixels around pixel 4i, the cell's own place; at the
    image's border the pixels beyond it are left out of the mean. Vectors shrink by 4 with the grid.

    Args:
        flow: (dx, dy) in pixels, ``(B, 2, H, W)``, H and W multiples of 4.

    Returns:
        (dx, dy) in heatmap cells, ``(B, 2, H / 4, W / 4)``.

    Raises:
        ValueError: If H or W is no multiple of 4.
    """
    height, width = flow.shape[-2:]
    if height % HEATMAP_STRIDE or width % HEATMAP_STRIDE:
        raise ValueError(
            f"flow in pixels: expected sides that are multiples of {HEATMAP_STRIDE}, "
            f"got {height}x{width}; choose another crop input size"
        )
    mean = F.avg_pool2d(flow, 5, stride=HEATMAP_STRIDE, padding=2, count_include_pad=False)
    return mean / HEATMAP_STRIDE


def build_raft(variant: str, updates: int = 12) -> RAFTFlow:
    """Build RAFT with random weights, in evaluation mode.

    Args:
        variant: ``raft_large`` or ``raft_small``; both have the parameters of the official
            networks under torchvision's names.
        updates: Number of refinements; 12 is the official default, its Sintel demo takes 20.

    Raises:
        ValueError: If ``variant`` is neither or ``updates`` is not positive.
    """
    if variant not in _VARIANTS:
        raise ValueError(f"RAFT variant: expected one of {list(_VARIANTS)}, got {variant!r}")
    if updates < 1:
        raise ValueError(f"RAFT updates: expected a positive number, got {updates}")
    # Imported here: it takes seconds, and a run that finds every unit builds no network.
    from torchvision.models import optical_flow  # noqa: PLC0415

    build = optical_flow.raft_large if variant == "raft_large" else optical_flow.raft_small
    return RAFTFlow(network=build(weights=None, progress=False), updates=updates).eval()
