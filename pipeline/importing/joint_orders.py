"""Keypoint orders of published pose networks.

COCO and PoseTrack both have 17 keypoints and differ in two: COCO has the eyes at the positions of
PoseTrack's head_bottom and head_top.
"""

from typing import Literal

from pipeline.core.skeleton import JOINTS, SLOTS

JointOrder = Literal["coco", "posetrack"]

_EYES = {"head_bottom": "left_eye", "head_top": "right_eye"}
"""COCO keypoints at the positions of PoseTrack's head_bottom and head_top."""
COCO_KEYPOINTS = tuple(_EYES.get(name, name) for name in SLOTS)
"""COCO's keypoints in the order of its annotation files."""


def joint_rows(order: JointOrder) -> dict[str, int | None]:
    """Return the output row of each of ``JOINTS`` in a network with 17 keypoints, None if missing.

    Args:
        order: Keypoint order that the network was trained with; that of PoseTrack is ``SLOTS``.
    """
    names = COCO_KEYPOINTS if order == "coco" else SLOTS
    return {joint: names.index(joint) if joint in names else None for joint in JOINTS}
