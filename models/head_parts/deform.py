"""Modulated deformable convolution: a 3x3 convolution with sampling offsets and masks.

Shapes: B clips, C channels, G offset groups, H x W cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 9
"""Sampling positions of a 3x3 kernel."""


def modulated_deform_conv(
    x: Tensor, offsets: Tensor, masks: Tensor, weight: Tensor, *, dilation: int
) -> Tensor:
    """Convolve ``x`` with a 3x3 kernel whose taps are shifted and scaled per cell.

    Channels are split into G equal groups; the channels of a group share their positions. Values
    between cells are interpolated bilinearly; values outside the map are zero.

    Args:
        x: Input map, ``(B, C, H, W)``.
        offsets: Shifts of the taps in cells, ``(B, G * 9 * 2, H, W)``, as (dy, dx) per tap.
        masks: Factors of the taps, ``(B, G * 9, H, W)``.
        weight: Kernel, ``(C_out, C, 3, 3)``.
        dilation: Cells between neighboring taps at zero offset.

    Returns:
        ``(B, C_out, H, W)``.
    """
    if x.device.type == "cpu":
        return _deform_conv_by_grid_sample(x, offsets, masks, weight, dilation)
    from torchvision.ops import deform_conv2d  # noqa: PLC0415  slow import, CPUs need none

    convolved: Tensor = deform_conv2d(
        x, offsets, weight, padding=dilation, dilation=dilation, mask=masks
    )
    return convolved


def _deform_conv_by_grid_sample(
    x: Tensor, offsets: Tensor, masks: Tensor, weight: Tensor, dilation: int
) -> Tensor:
    """Compute the same as the operator of torchvision, whose backward is 8 times slower on CPUs."""
    b, c, h, w = x.shape
    groups = masks.shape[1] // TAPS
    rows, columns = offsets.reshape(b * groups, TAPS, 2, h, w).unbind(2)
    steps = dilation * torch.arange(-1, 2, device=x.device)
    rows = rows + steps.repeat_interleave(3).view(TAPS, 1, 1)
    rows = rows + torch.arange(h, device=x.device).view(h, 1)
    columns = columns + steps.repeat(3).view(TAPS, 1, 1) + torch.arange(w, device=x.device)
    # grid_sample: -1 is the left edge of the first cell, 1 the right edge of the last cell. The
    # position of a cell is its center.
    grid = torch.stack([(2 * columns + 1) / w - 1, (2 * rows + 1) / h - 1], dim=-1)
    samples = F.grid_sample(
        x.reshape(b * groups, c // groups, h, w),
        grid.view(b * groups, TAPS * h, w, 2),
        padding_mode="zeros",
        align_corners=False,
    )
    masks = masks.reshape(b, groups, 1, TAPS, h, w)
    samples = samples.view(b, groups, c // groups, TAPS, h, w) * masks
    return F.conv2d(samples.view(b, c * TAPS, h, w), weight.reshape(-1, c * TAPS, 1, 1))
