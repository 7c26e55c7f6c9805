"""CrowdPose's crowd index and the hard subset that is chosen by it.

The papers' "Challenging-PoseTrack" is 806 frames "chosen according to CrowdPose"; their list was
never published, so the subset here is our own and not the same frames.
"""

import numpy as np
from numpy.typing import NDArray

DECIMALS = 2
"""CrowdPose's files store the index with two decimals."""


def crowd_index(
    boxes_xywh: NDArray[np.float64], joints: NDArray[np.float64], labeled: NDArray[np.bool_]
) -> float:
    """Return the crowd index of one image (Li et al., "CrowdPose", CVPR 2019, Eq. 1).

    The mean over all people with a labeled joint of N_b / N_a: N_a counts their own labeled
    joints, N_b the labeled joints of all others inside their box, edges included. It is not
    clipped at 1, as the values in CrowdPose's own files are not.

    Args:
        boxes_xywh: Boxes of all P people in pixels, ``(P, 4)``.
        joints: xy in pixels, ``(P, K, 2)``.
        labeled: Joints that have a label, occluded ones included, ``(P, K)``.

    Returns:
        The index, at least 0, rounded to two decimals as in CrowdPose's files; 0 where nobody
        has a labeled joint.
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
    """Choose the frames with the highest crowd index.

    Args:
        index: Crowd index of every candidate frame, ``(F,)``.
        share: Share of the frames to choose, within [0, 1]; a part of a frame counts as one.

    Returns:
        Mask, ``(F,)``; of equal frames the earlier ones are chosen.
    """
    # Without the rounding, 0.2 * 15 = 3.0000000000000004 would choose a fourth frame.
    count = int(np.ceil(round(share * len(index), 9)))
    chosen = np.zeros(len(index), dtype=bool)
    chosen[np.argsort(-index, kind="stable")[:count]] = True
    return chosen
