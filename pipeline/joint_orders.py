"""Orders of keypoints in the heads of published pose networks.

COCO and PoseTrack both have 17 and agree on all but two: where PoseTrack has the lower and the
upper end of the head, COCO has the eyes, which are no substitute.
"""

from typing import Literal

from pipeline.skeleton import JOINTS, SLOTS

Order = Literal["coco", "posetrack"]

COCO_KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""COCO's person keypoints in the order of its annotation files."""


def head_rows(order: Order) -> dict[str, int | None]:
    """Return for each of ``JOINTS`` its row in a head of 17 keypoints; None if there is none.

    Args:
        order: Whose keypoints the head was trained on; PoseTrack's are ``SLOTS``.
    """
    names = COCO_KEYPOINTS if order == "coco" else SLOTS
    return {joint: names.index(joint) if joint in names else None for joint in JOINTS}
