"""PoseTrack's joints: names, orders, flip pairs and OKS sigmas.

There are three orders of joints. Annotation files have 17 slots (``SLOTS``); the two ears are never
labeled. The networks predict 15 joints (``JOINTS``), which are the slots without the ears. poseval
reports the same 15 joints in its own order (``POSEVAL_JOINTS``).
"""

import numpy as np

SLOTS = (
    "nose",
    "head_bottom",
    "head_top",
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
JOINTS = tuple(name for name in SLOTS if not name.endswith("_ear"))
JOINT_SLOTS = np.array([SLOTS.index(name) for name in JOINTS])
"""Slot of every joint, ``(15,)``; ``slots[:, JOINT_SLOTS]`` drops the ears."""

POSEVAL_JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "head_bottom",
    "nose",
    "head_top",
)
"""Joint ids 0..14 of the official tool (poseval, eval_helpers.py, class Joint)."""

GROUPS = {
    "Head": ("head_top", "head_bottom", "nose"),
    "Shoulder": ("right_shoulder", "left_shoulder"),
    "Elbow": ("right_elbow", "left_elbow"),
    "Wrist": ("right_wrist", "left_wrist"),
    "Hip": ("right_hip", "left_hip"),
    "Knee": ("right_knee", "left_knee"),
    "Ankle": ("right_ankle", "left_ankle"),
}
"""Columns of the papers' tables. The column Mean is the mean over 15 joints, not over groups."""


def mirrored(name: str) -> str:
    """Return the joint name with left and right swapped; other names are unchanged."""
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


FLIP = np.array([JOINTS.index(mirrored(name)) for name in JOINTS])
"""Permutation ``(15,)`` that swaps left and right joints after a horizontal flip."""

OKS_SIGMAS = np.array(
    [
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ]
)  # fmt: skip
"""COCO's OKS sigma of every slot, ``(17,)``; both head joints use the eyes', as in mmpose."""
