"""Acceleration error: the jitter of predicted joints relative to the true motion.

The metric is that of HMMR (Kanazawa et al., "Learning 3D Human Dynamics from Video", CVPR 2019;
akanazawa/human_dynamics, src/evaluation/eval_util.py, compute_error_accel), which SmoothNet
(Zeng et al., ECCV 2022) reports per frame squared. Here it is computed on 2D joints.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics.posetrack_ap import Matches

NO_RUN = "no joint is labeled and predicted for one person in three equally spaced frames"
"""Reason for a missing value."""


def acceleration(matches: Matches) -> dict[str, Any]:
    """Return the acceleration error of matched joints and the acceleration of the ground truth.

    The acceleration of a joint at frame f is its second difference, x[f-1] - 2 x[f] + x[f+1]. The
    error is the Euclidean norm of the difference of the predicted and the true acceleration. It is
    0 for every prediction whose offset from the truth changes linearly, so it measures jitter and
    not accuracy. A joint is counted if one ground-truth person, identified by the track id, is
    labeled in three consecutive frames of the video's file, PoseTrack's matching assigns a
    prediction to this person in each of them, and both have the joint each time. The prediction
    needs no track id.

    If the ground truth has nobody in three consecutive frames, the frames are ``step`` apart, the
    smallest distance at which it has somebody in three. The unit is then pixels, or head sizes, per
    ``step`` frames squared: such values are comparable between systems, but not between data sets
    of different steps, and they are not divided by the square of the step.

    Args:
        matches: The labeled predictions.

    Returns:
        Plain JSON values. ``pixels`` and ``heads`` have the means of ``error`` and ``truth`` over
        all counted joints, in pixels and in head sizes; the head size is that of the person in the
        middle frame. ``n_joints`` counts the joints; ``step`` is the distance of the frames, 1 for
        consecutive ones. Without any joint the four values are None and ``reason`` says why;
        otherwise ``reason`` is None.
    """
    truth, predicted = matches.pool.truth, matches.pool.predicted
    partner = np.full(len(truth.frame), -1, dtype=np.int64)
    assigned = np.flatnonzero(matches.partner >= 0)
    partner[matches.partner[assigned]] = assigned
    people, step = _equally_spaced(matches)
    people = people[(partner[people] >= 0).all(axis=1)]
    others = partner[people]
    counted = (truth.exists[people] & predicted.exists[others]).all(axis=1)
    true = _second_difference(truth.joints[people])[counted]
    error = _second_difference(predicted.joints[others])[counted] - true
    pixels = {"error": np.linalg.norm(error, axis=1), "truth": np.linalg.norm(true, axis=1)}
    head = truth.head[people[:, 1]][np.nonzero(counted)[0]]
    return {
        "n_joints": len(head),
        "step": step,
        "pixels": {name: _mean(values) for name, values in pixels.items()},
        "heads": {name: _mean(values / head) for name, values in pixels.items()},
        "reason": None if len(head) else NO_RUN,
    }


def _equally_spaced(matches: Matches) -> tuple[NDArray[np.int64], int | None]:
    """Return rows of a ground-truth person in three equally spaced frames, ``(N, 3)``.

    A track id that two people of one frame share is not used in that frame.

    Returns:
        The rows, and the distance of the frames: the smallest one with a row, or None.
    """
    pool = matches.pool
    frame, frames = pool.truth.frame, len(pool.used)
    _, track = np.unique(pool.truth.track, return_inverse=True)
    # One number per track and frame. Tracks are so far apart that twice a distance of frames, which
    # is less than the number of frames, does not lead to another track.
    key = track * 2 * frames + frame
    tracked = np.flatnonzero(pool.truth.track >= 0)
    ordered, first, counts = np.unique(key[tracked], return_index=True, return_counts=True)
    ordered, rows = ordered[counts == 1], tracked[first[counts == 1]]
    video = pool.video[frame[rows]]
    for step in range(1, (np.bincount(pool.video).max(initial=0) + 1) // 2):
        triples = np.searchsorted(ordered, ordered[:, None] + [0, step, 2 * step])
        triples = triples[triples[:, 2] < len(rows)]
        distance = ordered[triples] - ordered[triples[:, :1]]
        valid = (distance == [0, step, 2 * step]).all(axis=1)
        valid &= video[triples[:, 2]] == video[triples[:, 0]]
        if valid.any():
            return rows[triples[valid]], step
    return np.zeros((0, 3), dtype=np.int64), None


def _second_difference(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the acceleration of joints in three frames, ``(N, 3, J, 2)`` to ``(N, J, 2)``."""
    difference: NDArray[np.float64] = joints[:, 0] - 2 * joints[:, 1] + joints[:, 2]
    return difference


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
