"""COCO's and PoseTrack's keypoint orders differ only at the head."""

import numpy as np

from pipeline.core.skeleton import JOINT_SLOTS, JOINTS
from pipeline.importing.joint_orders import joint_rows


def test_coco_has_no_row_for_head_bottom_and_head_top() -> None:
    rows = joint_rows("coco")
    assert [joint for joint, row in rows.items() if row is None] == ["head_bottom", "head_top"]


def test_every_other_joint_has_cocos_row() -> None:
    # cocodataset.org, person_keypoints: 1 nose, 2-5 eyes and ears, 6 left shoulder ... 17 right
    # ankle, left before right.
    rows = joint_rows("coco")
    assert rows["nose"] == 0
    limbs = ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    for i, limb in enumerate(limbs):
        assert (rows[f"left_{limb}"], rows[f"right_{limb}"]) == (5 + 2 * i, 6 + 2 * i)


def test_posetracks_rows_are_the_slots_of_the_joints() -> None:
    rows = joint_rows("posetrack")
    assert tuple(rows) == JOINTS
    np.testing.assert_array_equal(list(rows.values()), JOINT_SLOTS)
