"""Encode keypoints as target heatmaps, decode heatmaps, and flip heatmaps back.

Heatmap cell i is at crop pixel 4 i. Targets are Gaussians with peak 1 around the exact sub-pixel
position of the joint. (DCPose, PoseTrack.py, rounds the center to a cell: ``int(x / 4 + 0.5)``.)

Shapes: N people, K joints, h x w cells of the grid.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.core.grid import STRIDE
from pipeline.core.skeleton import FLIP

Decoding = Literal["dark", "quarter", "argmax"]
_DARK_RADIUS = 2
"""Cells on each side of the peak that DARK's second differences read."""
_DARK_MAX_STEP = 2.0
"""Maximum length of the Taylor step, cells; a longer step is outside the expansion's range."""


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
    """Decode heatmaps to keypoints and scores.

    Args:
        heatmaps: ``(N, K, h, w)``.
        method: ``argmax`` takes the highest cell. ``quarter`` moves it by a quarter cell towards
            the higher neighbor (HRNet, inference.py, ``get_final_preds``). ``dark`` takes a Taylor
            step on the logarithm of the blurred heatmap (Zhang et al., DARK, CVPR 2020, Eqs. 5-10).
        blur: Standard deviation of DARK's Gaussian, cells. 2 corresponds to the kernel of 11 cells
            in the public code of JM-Pose.

    Returns:
        Keypoints ``(N, K, 2)`` in crop pixels and scores ``(N, K)``. The score is the maximum of
        the heatmap before the blur. A heatmap without a positive value gives the keypoint (0, 0).

    Raises:
        ValueError: If the method is unknown, the shape is not four-dimensional or a value is not
            finite.
    """
    if method not in get_args(Decoding):
        raise ValueError(f"decode: expected one of {get_args(Decoding)}, got {method!r}")
    if heatmaps.ndim != 4:
        raise ValueError(f"decode: expected heatmaps (N, K, h, w), got {heatmaps.shape}")
    if not np.isfinite(heatmaps).all():
        raise ValueError("decode: expected finite heatmaps, got NaN or infinity; check the network")
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
    """Return a mask of the peaks (x, y) that are far enough from the border of the grid.

    HRNet and DARK test ``1 < x < w - margin``. The lower bound is one cell more than the
    differences need; it is kept so that the coordinates equal those of the official code.
    """
    height, width = size
    x, y = peaks.T
    inside: NDArray[np.bool_] = (x > 1) & (x < width - margin) & (y > 1) & (y < height - margin)
    return inside


def _quarter_step(maps: NDArray[np.floating[Any]], peaks: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return HRNet's quarter-cell offset of each peak, cells, ``(M, 2)``."""
    step = np.zeros(peaks.shape)
    inside = np.flatnonzero(_interior(peaks, maps.shape[1:], 1))
    x, y = peaks[inside].T
    step[inside, 0] = 0.25 * np.sign(maps[inside, y, x + 1] - maps[inside, y, x - 1])
    step[inside, 1] = 0.25 * np.sign(maps[inside, y + 1, x] - maps[inside, y - 1, x])
    return step


def _dark_step(
    maps: NDArray[np.floating[Any]], peaks: NDArray[np.intp], blur: float
) -> NDArray[np.float64]:
    """Return DARK's Taylor step of each peak, cells, ``(M, 2)``.

    DARK blurs full maps and rescales them to the old maximum. This function blurs only the 5 x 5
    cells that the differences read, and omits the scale, which adds a constant to the logarithm.
    Two checks are added: the step is 0 unless the Hessian is negative definite, and it is not
    longer than ``_DARK_MAX_STEP``.
    """
    step = np.zeros(peaks.shape)
    inside = np.flatnonzero(_interior(peaks, maps.shape[1:], _DARK_RADIUS))
    if not len(inside):
        return step
    f = np.log(np.maximum(_blurred_windows(maps[inside], peaks[inside], blur), 1e-10))
    c = _DARK_RADIUS
    gradient = 0.5 * np.stack([f[:, c, c + 1] - f[:, c, c - 1], f[:, c + 1, c] - f[:, c - 1, c]], 1)
    xx = 0.25 * (f[:, c, c + 2] - 2 * f[:, c, c] + f[:, c, c - 2])
    yy = 0.25 * (f[:, c + 2, c] - 2 * f[:, c, c] + f[:, c - 2, c])
    xy = 0.25 * (f[:, c + 1, c + 1] - f[:, c - 1, c + 1] - f[:, c + 1, c - 1] + f[:, c - 1, c - 1])
    determinant = xx * yy - xy**2
    is_peak = (xx < 0) & (determinant > 1e-12)
    inside, gradient = inside[is_peak], gradient[is_peak]
    xx, yy, xy, determinant = (values[is_peak] for values in (xx, yy, xy, determinant))
    step[inside, 0] = (xy * gradient[:, 1] - yy * gradient[:, 0]) / determinant
    step[inside, 1] = (xy * gradient[:, 0] - xx * gradient[:, 1]) / determinant
    length = np.linalg.norm(step, axis=1, keepdims=True)
    step *= _DARK_MAX_STEP / np.maximum(length, _DARK_MAX_STEP)
    return step


def _blurred_windows(
    maps: NDArray[np.floating[Any]], peaks: NDArray[np.intp], blur: float
) -> NDArray[np.float64]:
    """Return the 5 x 5 cells around each peak after a Gaussian blur with zero padding."""
    # The kernel covers 2.5 sigma on each side: 11 cells for the official sigma of 2.
    reach = round(2.5 * blur)
    half = reach + _DARK_RADIUS
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
    band = np.zeros((2 * _DARK_RADIUS + 1, len(offsets)))
    for row in range(len(band)):
        band[row, row : row + len(taps)] = taps
    blurred: NDArray[np.float64] = band @ windows @ band.T
    return blurred


def flip_back(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps ``(..., h, w)`` of a flipped crop on the grid of the unflipped crop.

    The flip maps crop pixel x to W - 1 - x. Cell i, on pixel 4 i, therefore appears in the flipped
    map at cell (W - 1 - 4 i) / 4 = (w - 1 - i) + 0.75, so the reversed map is shifted right by 0.75
    cells. Values are interpolated linearly; the border is replicated. HRNet shifts by a full cell
    (``SHIFT_HEATMAP``), which would be one pixel too far with this convention.
    """
    reversed_maps = maps[..., ::-1]
    left = np.concatenate([reversed_maps[..., :1], reversed_maps[..., :-1]], axis=-1)
    shift = (STRIDE - 1) / STRIDE
    return ((1 - shift) * reversed_maps + shift * left).astype(maps.dtype)


def flip_back_heatmaps(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the heatmaps ``(..., K, h, w)`` of a flipped crop as those of the unflipped crop.

    Swaps left and right joints and changes the grid (``flip_back``).
    """
    return flip_back(heatmaps[..., FLIP, :, :])
