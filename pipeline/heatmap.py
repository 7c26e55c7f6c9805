"""Keypoints to target heatmaps and heatmaps to keypoints, and heatmaps of mirrored crops.

One convention: heatmap cell i lies on crop pixel 4 i. Targets are Gaussians around the exact,
sub-pixel place of the joint, peak 1 (the public code of this line rounds the center to a cell:
DCPose, PoseTrack.py, ``int(x / 4 + 0.5)``).

Shapes: N people, K joints, h x w cells of the grid.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import STRIDE
from pipeline.skeleton import FLIP

Decoding = Literal["dark", "quarter", "argmax"]
_DARK_REACH = 2
"""Cells around the peak that DARK's second differences read."""
_DARK_LIMIT = 2.0
"""Longest Taylor step, cells: beyond it the expansion says nothing."""


def encode(
    keypoints: NDArray[np.floating[Any]],
    visible: NDArray[np.integer[Any]],
    heatmap_size: tuple[int, int],
    sigma: float,
) -> NDArray[np.float32]:
    """Return the target heatmaps of one person.

    Args:
        keypoints: Joints, ``(K, 2)``, crop pixels.
        visible: 0 no label or outside the crop, 1 occluded, 2 visible, ``(K,)``.
        heatmap_size: Rows h and columns w of the grid.
        sigma: Standard deviation of the Gaussians, cells: 3 on 96 x 72, 2 on 64 x 48.

    Returns:
        Heatmaps ``(K, h, w)`` within [0, 1]; all zero for a joint without label.
    """
    rows, columns = (np.arange(cells, dtype=np.float64) for cells in heatmap_size)
    cells_xy = np.asarray(keypoints, dtype=np.float64) / STRIDE
    across = np.exp(-((columns - cells_xy[:, :1]) ** 2) / (2 * sigma**2))
    down = np.exp(-((rows - cells_xy[:, 1:]) ** 2) / (2 * sigma**2))
    labeled = (np.asarray(visible) > 0)[:, None, None]
    return np.where(labeled, down[:, :, None] * across[:, None, :], 0).astype(np.float32)


def decode(
    heatmaps: NDArray[np.floating[Any]], method: Decoding, blur: float = 2.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the joints that heatmaps show.

    Args:
        heatmaps: ``(N, K, h, w)``.
        method: ``argmax`` the highest cell; ``quarter`` a quarter cell from it towards the higher
            neighbor (HRNet, inference.py, ``get_final_preds``); ``dark`` a Taylor step on the
            logarithm of the blurred heatmap (Zhang et al., DARK, CVPR 2020, Eqs. 5-10).
        blur: Standard deviation of DARK's Gaussian, cells. 2 is the kernel of 11 cells that the
            public code of JM-Pose uses.

    Returns:
        Keypoints ``(N, K, 2)``, crop pixels, and scores ``(N, K)``: the maximum of the heatmap
        as it came, before any blur. A heatmap without a positive value gives (0, 0).

    Raises:
        ValueError: If the method is unknown, the shape is not four-dimensional or a value is not
            finite.
    """
    if method not in get_args(Decoding):
        raise ValueError(f"decode: expected one of {get_args(Decoding)}, got {method!r}")
    if heatmaps.ndim != 4:
        raise ValueError(f"decode: expected heatmaps (N, K, h, w), got {heatmaps.shape}")
    if not np.isfinite(heatmaps).all():
        raise ValueError("decode: heatmaps hold NaN or infinity; the network that made them failed")
    count, joints, height, width = heatmaps.shape
    maps = heatmaps.reshape(count * joints, height, width)
    flat = maps.reshape(len(maps), height * width)
    best = flat.argmax(axis=1) if len(maps) else np.zeros(0, dtype=np.intp)
    scores = flat[np.arange(len(maps)), best].astype(np.float64)
    peaks = np.column_stack([best % width, best // width])
    cells = peaks.astype(np.float64)
    if method == "quarter":
        cells += _quarter_step(maps, peaks)
    elif method == "dark":
        cells += _dark_step(maps, peaks, blur)
    cells[scores <= 0] = 0
    keypoints = cells.reshape(count, joints, 2) * STRIDE
    return keypoints, scores.reshape(count, joints)


def _interior(peaks: NDArray[np.intp], size: tuple[int, int], margin: int) -> NDArray[np.bool_]:
    """Return which peaks (x, y) lie more than ``margin`` cells inside the grid, official rule.

    HRNet and DARK ask ``1 < x < w - margin``: at the low side one cell more than the differences
    need, kept so that both decodings give the official coordinates.
    """
    height, width = size
    x, y = peaks.T
    inside: NDArray[np.bool_] = (x > 1) & (x < width - margin) & (y > 1) & (y < height - margin)
    return inside


def _quarter_step(maps: NDArray[np.floating[Any]], peaks: NDArray[np.intp]) -> NDArray[np.float64]:
    step = np.zeros(peaks.shape)
    inside = np.flatnonzero(_interior(peaks, maps.shape[1:], 1))
    x, y = peaks[inside].T
    step[inside, 0] = 0.25 * np.sign(maps[inside, y, x + 1] - maps[inside, y, x - 1])
    step[inside, 1] = 0.25 * np.sign(maps[inside, y + 1, x] - maps[inside, y - 1, x])
    return step


def _dark_step(
    maps: NDArray[np.floating[Any]], peaks: NDArray[np.intp], blur: float
) -> NDArray[np.float64]:
    """Return DARK's step from each peak, cells, ``(M, 2)``.

    DARK blurs whole maps and scales them back to their old maximum. Here only the 5 x 5 cells that
    the differences read are blurred, and the scale is left out: it adds a constant to the
    logarithm. Two guards are ours: no step unless the surface is a peak (negative definite), and
    no step longer than ``_DARK_LIMIT``.
    """
    step = np.zeros(peaks.shape)
    inside = np.flatnonzero(_interior(peaks, maps.shape[1:], _DARK_REACH))
    if not len(inside):
        return step
    f = np.log(np.maximum(_blurred_windows(maps[inside], peaks[inside], blur), 1e-10))
    c = _DARK_REACH
    gradient = 0.5 * np.stack([f[:, c, c + 1] - f[:, c, c - 1], f[:, c + 1, c] - f[:, c - 1, c]], 1)
    xx = 0.25 * (f[:, c, c + 2] - 2 * f[:, c, c] + f[:, c, c - 2])
    yy = 0.25 * (f[:, c + 2, c] - 2 * f[:, c, c] + f[:, c - 2, c])
    xy = 0.25 * (f[:, c + 1, c + 1] - f[:, c - 1, c + 1] - f[:, c + 1, c - 1] + f[:, c - 1, c - 1])
    determinant = xx * yy - xy**2
    peaked = (xx < 0) & (determinant > 1e-12)
    inside, gradient = inside[peaked], gradient[peaked]
    xx, yy, xy, determinant = (values[peaked] for values in (xx, yy, xy, determinant))
    step[inside, 0] = (xy * gradient[:, 1] - yy * gradient[:, 0]) / determinant
    step[inside, 1] = (xy * gradient[:, 0] - xx * gradient[:, 1]) / determinant
    length = np.linalg.norm(step, axis=1, keepdims=True)
    step *= _DARK_LIMIT / np.maximum(length, _DARK_LIMIT)
    return step


def _blurred_windows(
    maps: NDArray[np.floating[Any]], peaks: NDArray[np.intp], blur: float
) -> NDArray[np.float64]:
    """Return the 5 x 5 cells around each peak after a Gaussian blur, zeros beyond the grid."""
    # 2.5 sigma to each side: 11 cells for the official sigma of 2.
    reach = round(2.5 * blur)
    half = reach + _DARK_REACH
    offsets = np.arange(-half, half + 1)
    columns, rows = (peaks[:, axis, None] + offsets for axis in (0, 1))
    height, width = maps.shape[1:]
    windows = maps[
        np.arange(len(maps))[:, None, None],
        rows.clip(0, height - 1)[:, :, None],
        columns.clip(0, width - 1)[:, None, :],
    ].astype(np.float64)
    windows *= ((rows >= 0) & (rows < height))[:, :, None]
    windows *= ((columns >= 0) & (columns < width))[:, None, :]
    taps = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * blur**2))
    taps /= taps.sum()
    band = np.zeros((2 * _DARK_REACH + 1, len(offsets)))
    for row in range(len(band)):
        band[row, row : row + len(taps)] = taps
    blurred: NDArray[np.float64] = band @ windows @ band.T
    return blurred


def flip_back(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps ``(..., h, w)`` of a mirrored crop on the grid of the crop itself.

    Crop pixel x went to W - 1 - x. Cell i, on pixel 4 i, is therefore found in the mirrored map at
    cell (W - 1 - 4 i) / 4 = (w - 1 - i) + 0.75: the reversed map moves right by 0.75 cells. Values
    between cells are linear, cells beyond the border repeat it. The usual code moves by a whole
    cell (HRNet, ``SHIFT_HEATMAP``), which here would be one pixel too far.
    """
    reversed_maps = maps[..., ::-1]
    left = np.concatenate([reversed_maps[..., :1], reversed_maps[..., :-1]], axis=-1)
    shift = (STRIDE - 1) / STRIDE
    return ((1 - shift) * reversed_maps + shift * left).astype(maps.dtype)


def flip_back_heatmaps(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the heatmaps ``(..., K, h, w)`` of a mirrored crop as those of the crop itself.

    Left and right joints change places besides the change of grid (``flip_back``).
    """
    return flip_back(heatmaps[..., FLIP, :, :])
