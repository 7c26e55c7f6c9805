"""Orders of keypoints in the heads of published pose networks.

COCO and PoseTrack both have 17 and agree on all but two: where PoseTrack has the lower and the
upper end of the head, COCO has the eyes, which are no substitute.
"""

from typing import Literal

from pipeline.skeleton import JOINTS, SLOTS

JointOrder = Literal["coco", "posetrack"]

_EYES = {"head_bottom": "left_eye", "head_top": "right_eye"}
"""What stands in COCO's order in the places of PoseTrack's ends of the head."""
COCO_KEYPOINTS = tuple(_EYES.get(name, name) for name in SLOTS)
"""COCO's person keypoints in the order of its annotation files."""


def joint_rows(order: JointOrder) -> dict[str, int | None]:
    """Return for each of ``JOINTS`` its row in a head of 17 keypoints; None if there is none.

    Args:
        order: Whose keypoints the head was trained on; PoseTrack's are ``SLOTS``.
    """
    names = COCO_KEYPOINTS if order == "coco" else SLOTS
    return {joint: names.index(joint) if joint in names else None for joint in JOINTS}
