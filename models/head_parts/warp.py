"""Warp the maps of neighboring frames to the key frame along the cached flow.

The cached flow points forward in time: ``flow[t]`` maps each cell of frame ``t`` to its position in
frame ``t + 1``. Frames before and after the key frame therefore need different operations:

- A later frame is sampled. The flow of the key frame gives the position of each of its cells in the
  later frame, and the cell takes the value at that position, bilinearly.
- An earlier frame is splatted, because there is no backward flow: each of its cells adds its value
  at the position that it moves to, distributed bilinearly over the four cells around it. (The
  inverse of the flow is not unique where a limb moves over the background: a cell of the key frame
  then has two origins, and a fixed-point iteration finds the wrong one. The sum over all origins
  keeps the peak of the limb and adds almost nothing from the background.)

Over several frames the flow is chained: each step starts at the end of the previous one.

Shapes: B clips, T frames, the middle one is the key frame, C channels, H x W cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp_to_key_frame(maps: Tensor, flow: Tensor) -> Tensor:
    """Return the maps of all frames in the coordinates of the key frame.

    Args:
        maps: ``(B, T, C, H, W)``, T odd.
        flow: (dx, dy) in cells from each frame to the next, ``(B, T - 1, 2, H, W)``.

    Returns:
        ``(B, T, C, H, W)``; the key frame's maps are unchanged. Cells whose position in another
        frame is outside of it have the value 0 there.

    Raises:
        ValueError: If the shapes do not fit.
    """
    frames = maps.shape[1]
    expected = (len(maps), frames - 1, 2, *maps.shape[-2:])
    if frames % 2 == 0 or tuple(flow.shape) != expected:
        raise ValueError(
            f"warp: expected an odd number of frames and flow of shape {expected}, got "
            f"{frames} frames and flow of shape {tuple(flow.shape)}"
        )
    key = frames // 2
    moved = []
    for frame in range(frames):
        if frame < key:
            moved.append(splat(maps[:, frame], chain(flow[:, frame:key])))
        elif frame > key:
            moved.append(sample(maps[:, frame], chain(flow[:, key:frame])))
        else:
            moved.append(maps[:, frame])
    return torch.stack(moved, dim=1)


def chain(flow: Tensor) -> Tensor:
    """Return the flow over several frames, on the grid of the first.

    Args:
        flow: (dx, dy) in cells from each frame to the next, ``(B, S, 2, H, W)``, S at least 1.

    Returns:
        ``(B, 2, H, W)``. Outside the map, the flow is that of the nearest cell.
    """
    total = flow[:, 0]
    for step in flow[:, 1:].unbind(1):
        total = total + sample(step, total, padding="border")
    return total


def sample(maps: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Return, for each cell, the value at the position that the flow points to, bilinearly.

    Args:
        maps: ``(B, C, H, W)``.
        flow: (dx, dy) in cells, ``(B, 2, H, W)``.
        padding: Values outside the maps, ``zeros`` or ``border``.
    """
    height, width = maps.shape[-2:]
    x, y = _places(flow)
    # In grid_sample with align_corners=True, -1 and 1 are the centers of the outermost cells.
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(maps, grid, padding_mode=padding, align_corners=True)


def splat(maps: Tensor, flow: Tensor) -> Tensor:
    """Add the value of each cell at the position that the flow points to.

    This is the transpose of ``sample`` with zero padding.

    Args:
        maps: ``(B, C, H, W)``.
        flow: (dx, dy) in cells, ``(B, 2, H, W)``.
    """
    batch, channels, height, width = maps.shape
    x, y = _places(flow)
    left, top = x.floor(), y.floor()
    values = maps.permute(0, 2, 3, 1)
    first = torch.arange(batch, device=maps.device).view(-1, 1, 1) * (height * width)
    moved = maps.new_zeros(batch * height * width, channels)
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        share = (1 - (x - column).abs()) * (1 - (y - row).abs())
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        cell = first + row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        part = values * (share * inside)[..., None]
        # Deterministic on GPUs too, unlike index_add_ and scatter_add_.
        moved.index_put_((cell.flatten(),), part.flatten(0, 2), accumulate=True)
    return moved.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return the column and row, ``(B, H, W)`` each, that the flow of every cell points to."""
    height, width = flow.shape[-2:]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    return columns + flow[:, 0], rows[:, None] + flow[:, 1]
