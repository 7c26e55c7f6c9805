"""Smooth the joints of tracked people over time, and treat joints with low scores.

One-Euro: Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy
Input in Interactive Systems", CHI 2012, algorithm 1. It reads no later frames, so it lags behind
fast motion. Savitzky-Golay: a polynomial fitted to the frames on both sides, by scipy.signal.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import savgol_filter

Filter = Literal["none", "one-euro", "savgol"]
WeakJoints = Literal["keep", "bridge", "drop"]

LONGEST_GAP = 0.5
"""Seconds without a joint that are bridged at most; a longer gap in a track starts the filters
again."""
MIN_CUTOFF = 1.0
"""Cutoff frequency of One-Euro at rest, Hz: the value with which the paper begins its tuning."""
BETA = 20.0
"""Increase of the cutoff frequency with speed, Hz per box size and second. The size of a box is the
square root of its area, so that the filter does not depend on the resolution. Chosen on labels of
real videos with added noise: larger values follow limbs more closely and leave more jitter."""
DERIVATIVE_CUTOFF = 1.0
"""Cutoff frequency of the speed, Hz, as in the paper."""
SAVGOL_SECONDS = 0.3
"""Length of the window of Savitzky-Golay; at least ``LEAST_WINDOW`` frames."""
LEAST_WINDOW = 5
SAVGOL_DEGREE = 2

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How the joints of a track are smoothed; scores and boxes stay as they are."""

    filter: Filter
    weak: WeakJoints
    """What happens to joints whose score is below ``score_min``: they are used like the others,
    replaced by a line between the frames around them, or left out (NaN)."""
    score_min: float
    """Score of a joint, within [0, 1]; without effect for ``keep``."""


def choose_smoothing(
    chosen: Filter, *, bridge: float | None, drop: float | None, tracked: bool
) -> Smoothing:
    """Check and combine the options of ``posereel predict``.

    Args:
        chosen: The filter.
        bridge: Score below which joints are interpolated; None: none are.
        drop: Score below which joints are left out; None: none are.
        tracked: Whether people have track ids.

    Raises:
        ValueError: If the options exclude each other.
    """
    if bridge is not None and drop is not None:
        raise ValueError(
            f"--bridge {bridge} --drop {drop}: expected one of the two; joints with low scores are "
            "either interpolated or left out"
        )
    if not tracked and (chosen != "none" or bridge is not None):
        raise ValueError(
            "--track none: expected --track iou with --smooth or --bridge, which follow a person "
            "by the id"
        )
    if bridge is not None:
        return Smoothing(chosen, "bridge", bridge)
    return Smoothing(chosen, "keep", 0.0) if drop is None else Smoothing(chosen, "drop", drop)


def smooth_poses(poses: pd.DataFrame, smoothing: Smoothing, rate: float) -> pd.DataFrame:
    """Return poses with smoothed joints.

    Args:
        poses: Rows of ``pipeline.video.poses.POSES``. People without track id (-1) are not
            smoothed.
        smoothing: How.
        rate: Average number of frames per second.
    """
    if not len(poses) or (smoothing.filter == "none" and smoothing.weak == "keep"):
        return poses
    joints = np.array(poses["keypoints"].tolist(), np.float64).reshape(len(poses), -1, 2)
    weak = np.array(poses["scores"].tolist(), np.float64) < smoothing.score_min
    weak &= smoothing.weak != "keep"
    seconds = poses["seconds"].to_numpy(dtype=np.float64)
    frames = poses["frame"].to_numpy(dtype=np.int64)
    sizes = np.sqrt(poses[["box_w", "box_h"]].to_numpy(dtype=np.float64).prod(axis=1))
    for rows in _runs(poses["track_id"].to_numpy(dtype=np.int64), seconds):
        run, used = joints[rows], ~weak[rows]
        if smoothing.weak == "bridge":
            run, used = bridge(seconds[rows], run, used), np.ones_like(used)
        if smoothing.filter == "one-euro":
            run = one_euro(seconds[rows], run, used, beta=BETA / float(np.median(sizes[rows])))
        elif smoothing.filter == "savgol":
            run = savgol(frames[rows], run, used, rate)
        joints[rows] = run
    if smoothing.weak == "drop":
        joints[weak] = np.nan
    return poses.assign(keypoints=list(joints.reshape(len(poses), -1)))


def bridge(seconds: Floats, joints: Floats, known: Mask) -> Floats:
    """Replace unknown joints by the line between the known ones before and after them.

    Args:
        seconds: Time of every frame, increasing, ``(N,)``.
        joints: xy, ``(N, K, 2)``.
        known: Joints that stay as they are, ``(N, K)``.

    Returns:
        The joints; those without a known one on both sides within ``LONGEST_GAP`` are unchanged.
    """
    bridged = joints.copy()
    for joint in range(joints.shape[1]):
        there = np.flatnonzero(known[:, joint])
        if len(there) < 2:
            continue
        missing = np.flatnonzero(~known[:, joint])
        after = np.searchsorted(there, missing)
        inside = (after > 0) & (after < len(there))
        missing, after = missing[inside], after[inside]
        gap = seconds[there[after]] - seconds[there[after - 1]]
        missing = missing[gap <= LONGEST_GAP]
        for axis in range(2):
            bridged[missing, joint, axis] = np.interp(
                seconds[missing], seconds[there], joints[there, joint, axis]
            )
    return bridged


def one_euro(
    seconds: Floats,
    joints: Floats,
    used: Mask,
    *,
    beta: float,
    min_cutoff: float = MIN_CUTOFF,
    derivative_cutoff: float = DERIVATIVE_CUTOFF,
) -> Floats:
    """Filter every coordinate of every joint by One-Euro.

    Args:
        seconds: Time of every frame, increasing, ``(N,)``; the frame rate may vary.
        joints: xy, ``(N, K, 2)``.
        used: Joints that the filter reads, ``(N, K)``; the others are unchanged.
        beta: Increase of the cutoff frequency with speed, Hz per unit of ``joints`` and second.
        min_cutoff: Cutoff frequency at rest, Hz.
        derivative_cutoff: Cutoff frequency of the speed, Hz.
    """
    filtered = joints.copy()
    before = np.full(joints.shape[1], np.nan)  # time of the last frame that was used
    value, speed = joints[0].copy(), np.zeros(joints.shape[1:])
    for row, time in enumerate(seconds):
        first = used[row] & np.isnan(before)
        value[first] = joints[row, first]
        later = used[row] & ~first
        step = (time - before[later])[:, None]
        found = joints[row, later]
        change = (found - value[later]) / step
        speed[later] += _alpha(step, derivative_cutoff) * (change - speed[later])
        cutoff = min_cutoff + beta * np.abs(speed[later])
        value[later] += _alpha(step, cutoff) * (found - value[later])
        before[used[row]] = time
        filtered[row, used[row]] = value[used[row]]
    return filtered


def _alpha(step: Floats, cutoff: Floats | float) -> Floats:
    """Return the weight of the newest value in a low-pass filter; ``step`` is in seconds."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * step)))


def savgol(frames: NDArray[np.int64], joints: Floats, used: Mask, rate: float) -> Floats:
    """Filter every coordinate of every joint by Savitzky-Golay.

    Frames without the joint are interpolated for the fit.

    Args:
        frames: Number of every frame, increasing, ``(N,)``.
        joints: xy, ``(N, K, 2)``.
        used: Joints that the filter reads, ``(N, K)``; the others are unchanged.
        rate: Frames per second.
    """
    filtered = joints.copy()
    places = frames - frames[0]
    every = np.arange(places[-1] + 1)
    window = max(LEAST_WINDOW, 2 * int(SAVGOL_SECONDS * rate / 2) + 1)
    window = min(window, len(every) - 1 + len(every) % 2)  # odd, and not longer than the run
    if window < LEAST_WINDOW:
        return filtered
    for joint in range(joints.shape[1]):
        there = used[:, joint]
        if not there.any():
            continue
        for axis in range(2):
            series = np.interp(every, places[there], joints[there, joint, axis])
            smooth = savgol_filter(series, window, SAVGOL_DEGREE)
            filtered[there, joint, axis] = smooth[places[there]]
    return filtered


def _runs(tracks: NDArray[np.int64], seconds: Floats) -> list[NDArray[np.intp]]:
    """Return the rows of every track in order of time, divided at gaps that are too long."""
    runs = []
    for track in np.unique(tracks[tracks >= 0]):
        rows = np.flatnonzero(tracks == track)
        runs += np.split(rows, np.flatnonzero(np.diff(seconds[rows]) > LONGEST_GAP) + 1)
    return runs
