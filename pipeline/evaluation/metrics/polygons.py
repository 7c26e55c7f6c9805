"""Vectorized point-in-polygon test for many points and polygons of many frames."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


def explode(first: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Pair every row with a range of consecutive items.

    Args:
        first: First item of every row, ``(R,)``.
        counts: Number of items of every row, ``(R,)``.

    Returns:
        Rows and items of all pairs, ``(sum(counts),)`` each, in the order of the rows.
    """
    rows = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return rows, np.arange(len(rows)) + (first - before)[rows]


def strictly_inside(
    points: Floats, frames: Indices, corners: Floats, start: Indices, polygon_frames: Indices
) -> NDArray[np.bool_]:
    """Find the points that lie strictly inside a polygon of their frame (even-odd rule).

    A point on an edge is outside, as for shapely's ``contains``, which poseval uses
    (eval_helpers.py, removeIgnoredPoints). Polygons may intersect themselves.

    Args:
        points: xy, ``(N, 2)``.
        frames: Frame of every point, ``(N,)``.
        corners: Corners xy of all polygons, concatenated, ``(C, 2)``.
        start: The corners of polygon m are ``corners[start[m]:start[m + 1]]``, ``(M + 1,)``.
        polygon_frames: Frame of every polygon, sorted, ``(M,)``.

    Returns:
        Mask, ``(N,)``.
    """
    inside = np.zeros(len(points), dtype=bool)
    if len(polygon_frames) == 0:
        return inside
    left = np.searchsorted(polygon_frames, frames, side="left")
    right = np.searchsorted(polygon_frames, frames, side="right")
    point, polygon = explode(left, right - left)
    near = _within_extents(points, point, polygon, corners, start)
    point, polygon = point[near], polygon[near]
    inside[point[_inside_pairs(points[point], polygon, corners, start)]] = True
    return inside


def _within_extents(
    points: Floats, point: Indices, polygon: Indices, corners: Floats, start: Indices
) -> NDArray[np.bool_]:
    """Return the pairs whose point lies inside the bounding box of the polygon."""
    near = np.ones(len(point), dtype=bool)
    for axis in (0, 1):
        value = points[point, axis]
        near &= value > np.minimum.reduceat(corners[:, axis], start[:-1])[polygon]
        near &= value < np.maximum.reduceat(corners[:, axis], start[:-1])[polygon]
    return near


def _inside_pairs(points: Floats, polygon: Indices, corners: Floats, start: Indices) -> Indices:
    """Return the pairs (point, polygon) whose point lies strictly inside the polygon."""
    following = np.arange(1, len(corners) + 1)
    following[start[1:] - 1] = start[:-1]
    pair, corner = explode(start[polygon], np.diff(start)[polygon])
    x, y = points[pair, 0], points[pair, 1]
    ax, ay = corners[corner, 0], corners[corner, 1]
    bx, by = corners[following[corner], 0], corners[following[corner], 1]
    # The sign of twice the area of (a, b, point) is the side of the point, without a division.
    area = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
    upward = by > y
    crosses = ((ay > y) != upward) & np.where(upward, area > 0, area < 0)
    crossings = np.bincount(pair[crosses], minlength=len(points))
    line = np.flatnonzero(area == 0)
    x, y, ax, ay, bx, by = (values[line] for values in (x, y, ax, ay, bx, by))
    between = (np.minimum(ax, bx) <= x) & (x <= np.maximum(ax, bx))
    between &= (np.minimum(ay, by) <= y) & (y <= np.maximum(ay, by))
    on_edge = np.bincount(pair[line[between]], minlength=len(points))
    return np.flatnonzero((crossings % 2 == 1) & (on_edge == 0))
