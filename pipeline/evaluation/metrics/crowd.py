"""The crowd index of CrowdPose and the hard subset of the frames with the highest index.

The papers' "Challenging-PoseTrack" consists of 806 frames "chosen according to CrowdPose". The list
of frames was never published, so the subset here is a different one.
"""

import numpy as np
from numpy.typing import NDArray

DECIMALS = 2
"""The files of CrowdPose store the index with two decimals."""


def crowd_index(
    boxes_xywh: NDArray[np.float64], joints: NDArray[np.float64], labeled: NDArray[np.bool_]
) -> float:
    """Return the crowd index of one image (Li et al., "CrowdPose", CVPR 2019, Eq. 1).

    The index is the mean of N_b / N_a over all people with a labeled joint. N_a is the number of
    their own labeled joints; N_b is the number of labeled joints of other people inside their box,
    edges included. As in the files of CrowdPose, the index is not clipped at 1.

    Args:
        boxes_xywh: Boxes of all P people in pixels, ``(P, 4)``.
        joints: xy in pixels, ``(P, K, 2)``.
        labeled: Joints that have a label, including occluded joints, ``(P, K)``.

    Returns:
        The index, at least 0, rounded to two decimals as in the files of CrowdPose; 0 if nobody has
        a labeled joint.
    """
    people = labeled.any(axis=1)
    boxes, joints, labeled = boxes_xywh[people], joints[people], labeled[people]
    if not len(boxes):
        return 0.0
    low, high = boxes[:, None, None, :2], (boxes[:, :2] + boxes[:, 2:])[:, None, None]
    inside = ((joints[None] >= low) & (joints[None] <= high)).all(axis=3) & labeled[None]
    counts = inside.sum(axis=2)
    others = counts.sum(axis=1) - np.diagonal(counts)
    return round(float(np.mean(others / labeled.sum(axis=1))), DECIMALS)


def hardest(index: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Select the frames with the highest crowd index.

    Args:
        index: Crowd index of every candidate frame, ``(F,)``.
        share: Share of the frames to select, within [0, 1]. The number of frames is rounded up.

    Returns:
        Mask, ``(F,)``. Among frames of equal index, earlier frames are preferred.
    """
    # Without rounding, 0.2 * 15 = 3.0000000000000004 would select a fourth frame.
    count = int(np.ceil(round(share * len(index), 9)))
    chosen = np.zeros(len(index), dtype=bool)
    chosen[np.argsort(-index, kind="stable")[:count]] = True
    return chosen
