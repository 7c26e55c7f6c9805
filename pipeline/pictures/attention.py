"""Pictures of attention: maps over a crop, sampling points on a crop, and attention matrices.

Crops and pictures are RGB, uint8, ``(H, W, 3)``. A picture is ``SCALE`` times as large as its crop.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.grid import STRIDE
from pipeline.report.drawing import Picture, draw_caption, enlarge

SCALE = 2
"""Pixels of a picture per pixel of the crop, along each side."""
_OPACITY = 0.6
_ENTRY_SIDE = 240
"""Maximum height of the picture of a matrix in pixels."""


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Position of map entries on the crop: entry i is at pixel ``start + step * i``."""

    step: float
    start: float = 0.0

    def on_picture(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Convert points (x, y) from map entries to pixels of the picture."""
        pixels = self.start + self.step * np.asarray(points, np.float64)
        # Pixel centers are at integers, so scaling by s moves the first center to (s - 1) / 2.
        return pixels * SCALE + (SCALE - 1) / 2


HEATMAP_GRID = MapGrid(float(STRIDE))
"""Heatmap cell i is at pixel 4i."""
TOKEN_GRID = MapGrid(16.0, 7.5)
"""Token i covers pixels 16i to 16i + 15."""


def draw_map(crop: Picture, values: NDArray[np.float32], grid: MapGrid, caption: str) -> Picture:
    """Draw a map over a crop, from dark at its minimum to bright at its maximum.

    Args:
        crop: The crop.
        values: The map, ``(rows, columns)``.
        grid: Position of its entries.
        caption: Caption; the range of the values is appended.
    """
    scaled, extent = _scaled(values)
    picture = enlarge(crop, SCALE)
    step = SCALE * grid.step
    start = float(grid.on_picture(np.zeros(1, np.float32))[0])
    matrix = np.array([[step, 0, start], [0, step, start]])
    size = (picture.shape[1], picture.shape[0])
    spread = cv2.warpAffine(
        scaled,
        matrix,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    blended = cv2.addWeighted(_colored(spread), _OPACITY, picture, 1 - _OPACITY, 0)
    return draw_caption(np.asarray(blended, np.uint8), f"{caption} {extent}")


def draw_points(
    crop: Picture,
    points: NDArray[np.float32],
    weights: NDArray[np.float32],
    center: NDArray[np.float32],
    grid: MapGrid,
    caption: str,
) -> Picture:
    """Draw points on a crop, one color per group, larger for larger weights.

    Args:
        crop: The crop.
        points: (x, y) in map entries, ``(groups, points, 2)``.
        weights: Weight of every point, at least 0, ``(groups, points)``.
        center: Entry (x, y) that samples the points, ``(2,)``, marked by a cross.
        grid: Position of the entries.
        caption: Caption.
    """
    picture = enlarge(crop, SCALE)
    largest = max(float(weights.max()), 1e-12)
    for group, (group_points, shares) in enumerate(zip(points, weights, strict=True)):
        hue = np.array([[[180 * group // len(points), 255, 255]]], np.uint8)
        color = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
        for point, share in zip(grid.on_picture(group_points), shares.tolist(), strict=True):
            radius = max(1, round(4 * share / largest))
            x, y = np.rint(point).astype(int).tolist()
            cv2.circle(picture, (x, y), radius, color, 1, cv2.LINE_AA)
    x, y = np.rint(grid.on_picture(center)).astype(int).tolist()
    cv2.drawMarker(picture, (x, y), (255, 255, 255), cv2.MARKER_CROSS, 11, 1)
    return draw_caption(picture, caption)


def draw_matrices(values: NDArray[np.float32], shape: tuple[int, int], caption: str) -> Picture:
    """Draw the attention matrices of all heads side by side, on black.

    Args:
        values: Attention matrices whose rows sum to 1, ``(heads, n, n)``.
        shape: (height, width) of the crop; the picture has the size of the crop's pictures.
        caption: Caption; the range of the values is appended.
    """
    scaled, extent = _scaled(np.concatenate(list(values), axis=1))
    height, width = shape[0] * SCALE, shape[1] * SCALE
    tall = min(height - 24, max(1, width * scaled.shape[0] // scaled.shape[1]), _ENTRY_SIDE)
    drawn = cv2.resize(scaled, (width, tall), interpolation=cv2.INTER_NEAREST)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[-tall:] = _colored(drawn)
    return draw_caption(picture, f"{caption} {extent}")


def _scaled(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], str]:
    """Return the values scaled to 0..255 and their range as text for a caption."""
    low, high = float(values.min()), float(values.max())
    spread = ((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return spread, f"{low:.2f}..{high:.2f}"


def _colored(gray: NDArray[np.uint8]) -> Picture:
    """Map gray values ``(H, W)`` to colors from dark blue to yellow."""
    colors = cv2.cvtColor(cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return np.asarray(colors, np.uint8)
