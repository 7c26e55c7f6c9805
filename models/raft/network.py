"""RAFT (Teed and Deng, ECCV 2020) of torchvision: optical flow on the grid of the heatmaps.

Two properties of the released pose code are avoided on purpose. It passes ImageNet-normalized
images to a network that scales 0..255 itself, so RAFT sees an almost constant image; and it
computes flow from the key frame to each neighbor, while Eq. 1 of the paper uses consecutive frames.

Shapes: B pairs of images, H x W pixels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

_VARIANTS = ("raft_large", "raft_small")
_SMALLEST = 128
"""Below 128 pixels, a level of RAFT's correlation pyramid has one cell and samples are NaN."""
_STRIDE = 8
HEATMAP_STRIDE = 4
"""Pixels per heatmap cell: cell i is at pixel 4i."""


class RAFTFlow(nn.Module):
    """RAFT with scaling and padding of its input and cropping of its output.

    Args:
        network: RAFT of torchvision.
        updates: Number of flow updates (iterations in the paper).
        scale: Factor by which images are enlarged before, and the flow reduced after. RAFT matches
            at an eighth of its resolution; in a small crop a limb is then narrower than a cell.
    """

    def __init__(self, *, network: nn.Module, updates: int, scale: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.num_updates = updates
        self.scale = scale

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the displacement of every pixel from the first image to the second.

        Args:
            first: RGB, ``(B, 3, H, W)``, uint8, or float in [0, 255].
            second: The next image, in the same format.

        Returns:
            Flow (dx, dy) in pixels, ``(B, 2, H, W)``.

        Raises:
            ValueError: If the range is not [0, 255]; see ``scale_to_raft_range``.
        """
        return self.refinements(first, second)[-1]

    def refinements(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """Return the flow after each update, ``(B, 2, H, W)``; RAFT's loss sums over them (Eq. 7).

        Args:
            first: RGB, ``(B, 3, H, W)``, uint8, or float in [0, 255].
            second: The next image, in the same format.

        Raises:
            ValueError: If the range is not [0, 255]; see ``scale_to_raft_range``.
        """
        size = first.shape[-2:]
        height, width = (round(self.scale * side) for side in size)
        top, bottom = _padding(height)
        left, right = _padding(width)
        sides = (left, right, top, bottom)
        images = [_resized(scale_to_raft_range(x), (height, width)) for x in (first, second)]
        padded = [F.pad(x, sides, mode="replicate") for x in images]
        flows = self.network(*padded, num_flow_updates=self.num_updates)
        inner = [flow[..., top : top + height, left : left + width] for flow in flows]
        ratio = inner[0].new_tensor([size[1] / width, size[0] / height]).view(2, 1, 1)
        return [_resized(flow, size) * ratio for flow in inner]


def _resized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return images of another size, bilinear; those that have it are returned as they are."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images.float(), size=size, mode="bilinear")


def _padding(length: int) -> tuple[int, int]:
    """Return the padding at both ends of a side: to a multiple of 8, at least 128 pixels."""
    padded = max(_SMALLEST, -(-length // _STRIDE) * _STRIDE)
    before = (padded - length) // 2
    return before, padded - length - before


def scale_to_raft_range(images: Tensor) -> Tensor:
    """Scale RGB from [0, 255] to [-1, 1], RAFT's range (official raft.py, forward).

    Args:
        images: ``(B, 3, H, W)``, uint8, or float in [0, 255].

    Raises:
        ValueError: If float values leave [0, 255], as ImageNet-normalized images do, or seem to be
            scaled to [0, 1] (fractions, none above 1).
    """
    if not images.is_floating_point():
        return images.float() / 127.5 - 1
    low, high = images.min().item(), images.max().item()
    unit = high <= 1 and bool((images != images.round()).any())
    if low < 0 or high > 255 or unit:
        raise ValueError(
            f"RAFT input: expected RGB in [0, 255], got floats from {low:.3f} to {high:.3f}; pass "
            "the uint8 crops, not images normalized or scaled for another network"
        )
    return images.float() / 127.5 - 1


def cells_from_pixels(flow: Tensor) -> Tensor:
    """Convert flow from the pixel grid to the heatmap grid: positions and vectors.

    The vector of cell i is the mean over the 5x5 pixels around pixel 4i. Pixels outside the image
    do not count. Vectors are divided by 4, the stride of the grid.

    Args:
        flow: (dx, dy) in pixels, ``(B, 2, H, W)``, H and W multiples of 4.

    Returns:
        (dx, dy) in heatmap cells, ``(B, 2, H / 4, W / 4)``.

    Raises:
        ValueError: If H or W is not a multiple of 4.
    """
    height, width = flow.shape[-2:]
    if height % HEATMAP_STRIDE or width % HEATMAP_STRIDE:
        raise ValueError(
            f"flow in pixels: expected sides that are multiples of {HEATMAP_STRIDE}, "
            f"got {height}x{width}; choose another input size in crop"
        )
    mean = F.avg_pool2d(flow, 5, stride=HEATMAP_STRIDE, padding=2, count_include_pad=False)
    return mean / HEATMAP_STRIDE


def build_raft(variant: str, updates: int = 12, scale: float = 1.0) -> RAFTFlow:
    """Build RAFT with random weights, in evaluation mode.

    Args:
        variant: ``raft_large`` or ``raft_small``, which have the parameters of the official
            networks under torchvision's names.
        updates: Number of flow updates. The official default is 12; its Sintel demo uses 20.
        scale: Factor by which images are enlarged before; see ``RAFTFlow``.

    Raises:
        ValueError: If ``variant`` is unknown, ``updates`` is not positive or ``scale`` below 1.
    """
    if variant not in _VARIANTS:
        raise ValueError(f"RAFT variant: expected one of {list(_VARIANTS)}, got {variant!r}")
    if updates < 1:
        raise ValueError(f"RAFT updates: expected a positive number, got {updates}")
    if scale < 1:
        raise ValueError(f"RAFT scale: expected at least 1, got {scale}")
    # Imported here because it takes seconds, and a run with complete caches builds no network.
    from torchvision.models import optical_flow  # noqa: PLC0415

    build = optical_flow.raft_large if variant == "raft_large" else optical_flow.raft_small
    network = build(weights=None, progress=False)
    return RAFTFlow(network=network, updates=updates, scale=scale).eval()
