"""Bodies in space: rigid bones, left and right, single joint angles by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.synthetic.actions import ANGLE, ANGLES
from pipeline.synthetic.figures import POINT, Body, body_points, draw_body

BODY = Body(1.3, 2.5, 2.0, 1.2, 1.4, 1.2, 2.1, 2.0)
BONES = {
    ("head_bottom", "head_top"): 1.3,
    ("left_shoulder", "right_shoulder"): 2.0,
    ("left_hip", "right_hip"): 1.2,
    ("left_shoulder", "left_elbow"): 1.4,
    ("right_elbow", "right_wrist"): 1.2,
    ("left_hip", "left_knee"): 2.1,
    ("right_knee", "right_ankle"): 2.0,
    ("chest", "pelvis"): 2.5,
}


def posed(yaw: float = 0.0, **degrees: float) -> dict[str, NDArray[np.float64]]:
    angles = np.zeros((1, len(ANGLES)))
    for name, value in degrees.items():
        angles[0, ANGLE[name]] = np.radians(value)
    points = body_points(BODY, angles, np.array([np.radians(yaw)]))[0]
    return {name: points[index] for name, index in POINT.items()}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-2.5, 2.5), min_size=len(ANGLES), max_size=len(ANGLES)), st.floats(-4, 4))
def test_bones_keep_their_lengths_in_every_pose(angles: list[float], yaw: float) -> None:
    points = body_points(BODY, np.array([angles]), np.array([yaw]))[0]
    for (start, end), length in BONES.items():
        found = np.linalg.norm(points[POINT[start]] - points[POINT[end]])
        assert found == pytest.approx(length, abs=1e-9)


def test_somebody_who_faces_the_camera_has_their_left_at_the_right_of_the_picture() -> None:
    front, back = posed(), posed(yaw=180)
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert front[f"left_{joint}"][0] > 0 > front[f"right_{joint}"][0]
        assert back[f"left_{joint}"][0] < 0 < back[f"right_{joint}"][0]
    assert front["nose"][2] < front["head_bottom"][2]
    assert back["nose"][2] > back["head_bottom"][2]


def test_a_right_angle_of_yaw_faces_the_left_edge() -> None:
    points = posed(yaw=90)
    assert points["nose"][0] < -0.3
    assert points["left_toe"][0] < points["left_ankle"][0]


def test_standing_straight_stacks_the_body_and_touches_the_ground() -> None:
    points = posed()
    order = ("head_top", "nose", "head_bottom", "left_shoulder", "left_hip", "left_knee")
    heights = [points[name][1] for name in (*order, "left_ankle")]
    assert heights == sorted(heights)
    assert heights[-1] < 0
    assert points["left_ankle"][1] == pytest.approx(points["right_ankle"][1])


def test_arms_and_legs_move_as_their_angles_say() -> None:
    ahead = posed(left_arm_flex=90)
    assert ahead["left_wrist"] - ahead["left_shoulder"] == pytest.approx([0, 0, -2.6], abs=1e-9)
    aside = posed(right_arm_abduct=90)
    assert aside["right_wrist"] - aside["right_shoulder"] == pytest.approx([-2.6, 0, 0], abs=1e-9)
    bent = posed(left_elbow=90)
    assert bent["left_wrist"] - bent["left_elbow"] == pytest.approx([0, 0, -1.2], abs=1e-9)
    kneeling = posed(left_knee=90)
    assert kneeling["left_ankle"] - kneeling["left_knee"] == pytest.approx([0, 0, 2.0], abs=1e-9)
    sitting = posed(left_hip_flex=90, left_knee=90, right_hip_flex=90, right_knee=90)
    assert sitting["head_top"][1] > posed()["head_top"][1] + 1.5


def test_leaning_brings_the_head_forward() -> None:
    points = posed(lean=45)
    assert points["head_bottom"][2] < -1.5
    assert points["pelvis"][2] == pytest.approx(0)


def test_bodies_differ_but_stay_human() -> None:
    rng = np.random.default_rng(0)
    bodies = [draw_body(rng) for _ in range(50)]
    thighs = [body.thigh for body in bodies]
    assert 1.8 < min(thighs) < max(thighs) < 2.5
