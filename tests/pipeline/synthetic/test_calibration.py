"""Rendered people against the real ones.

100 small videos of 6 frames. The figures scatter from one such set to another by a tenth, medians
of motion by a fifth; over 250 videos of the usual size every figure came within a quarter of the
real one. No closer match is claimed than the factors below. At a gap of three frames the real
figures are those of the same sequences at a stride of three.
"""

import numpy as np
import pytest

from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.calibration import REAL, REAL_GAP_3, Figures, measure
from pipeline.synthetic.dataset import video_specs
from pipeline.synthetic.rendering import SyntheticVideo, render_video


@pytest.fixture(scope="module")
def rendered() -> list[SyntheticVideo]:
    specs = video_specs("calibration", 100, frames=6, height=120, width=160)
    return [render_video(spec) for spec in specs]


@pytest.fixture(scope="module")
def figures(rendered: list[SyntheticVideo]) -> Figures:
    return measure(rendered)


@pytest.fixture(scope="module")
def figures_gap_3(rendered: list[SyntheticVideo]) -> Figures:
    return measure(rendered, gap=3)


def within(found: float, real: float, factor: float) -> bool:
    return real / factor <= found <= real * factor


@pytest.mark.parametrize("joint", REAL.motion)
def test_joints_move_as_far_per_frame_as_real_ones(figures: Figures, joint: str) -> None:
    for found, real in zip(figures.motion[joint], REAL.motion[joint], strict=True):
        assert within(found, real, 1.3)


@pytest.mark.parametrize("joint", REAL_GAP_3.motion)
def test_joints_move_as_far_in_three_frames_as_real_ones(
    figures_gap_3: Figures, joint: str
) -> None:
    for found, real in zip(figures_gap_3.motion[joint], REAL_GAP_3.motion[joint], strict=True):
        assert within(found, real, 1.3)


@pytest.mark.parametrize("limb", REAL_GAP_3.turning)
def test_limbs_turn_as_far_in_three_frames_as_real_ones(figures_gap_3: Figures, limb: str) -> None:
    # The median lower arm turns 1.6 times as far as a real one; all else is within 1.35.
    for found, real in zip(figures_gap_3.turning[limb], REAL_GAP_3.turning[limb], strict=True):
        assert within(found, real, 1.7)


@pytest.mark.parametrize("joint", REAL.occluded)
def test_joints_are_hidden_as_often_as_real_ones(figures: Figures, joint: str) -> None:
    assert within(figures.occluded[joint], REAL.occluded[joint], 1.5)


@pytest.mark.parametrize("bone", REAL.bones)
def test_bones_look_as_long_as_real_ones(figures: Figures, bone: str) -> None:
    assert within(figures.bones[bone], REAL.bones[bone], 1.1)


@pytest.mark.parametrize("limb", REAL.turning)
def test_limbs_turn_as_fast_as_real_ones(figures: Figures, limb: str) -> None:
    for found, real in zip(figures.turning[limb], REAL.turning[limb], strict=True):
        assert within(found, real, 1.45)


def test_as_many_people_are_in_a_frame(figures: Figures) -> None:
    assert figures.people[0] == REAL.people[0]
    assert within(figures.people[1], REAL.people[1], 1.2)


def test_tags_have_their_shares(rendered: list[SyntheticVideo]) -> None:
    tags = np.concatenate([video.tags for video in rendered])
    bounds = {"clean": (0.38, 0.52), "blurred": (0.18, 0.27), "covered": (0.18, 0.27),
              "crossing": (0.05, 0.15)}  # fmt: skip
    for tag, (low, high) in bounds.items():
        assert low <= (tags == tag).mean() <= high, tag


def one_person(keypoints: np.ndarray, visible: np.ndarray, head: float) -> SyntheticVideo:
    frames = len(keypoints)
    boxes = np.tile([0, 0, 0.8 * head / 0.6, 0.6 * head / 0.6], (frames, 1, 1))
    return SyntheticVideo(
        images=np.zeros((frames, 1, 1, 3), np.uint8),
        keypoints=keypoints[:, None],
        visible=visible[:, None],
        boxes=np.zeros((frames, 1, 4)),
        head_boxes=boxes,
        present=np.ones((frames, 1), bool),
        tags=("clean",) * frames,
        labeled=np.ones(frames, bool),
        ignored=((),) * frames,
    )


def test_figures_of_a_person_made_by_hand() -> None:
    # The head box is 0.8 x 0.6 of head / 0.6, so that 0.6 x its diagonal is 10 pixels.
    keypoints = np.zeros((3, 17, 2))
    keypoints[:, SLOTS.index("left_elbow")] = [0, 20]
    keypoints[:, SLOTS.index("left_wrist")] = [[20, 20], [0, 40], [0, 40]]
    keypoints[:, SLOTS.index("head_bottom")] = [[0, 0], [3, 4], [6, 8]]
    visible = np.full((3, 17), 2, np.uint8)
    visible[:, SLOTS.index("right_wrist")] = [1, 0, 1]
    found = measure([one_person(keypoints, visible, 10.0)])
    assert found.motion["head"] == pytest.approx((0.25, 0.5))
    # Left: 28.28 pixels, then none. Right: absent in the middle frame, so no step at all.
    assert found.motion["wrist"][0] == pytest.approx(np.sqrt(2))
    assert found.occluded["wrist"] == pytest.approx(2 / 5)
    assert found.occluded["head"] == 0
    # Three left lower arms of 2 head sizes; two right ones of no length.
    assert found.bones["lower_arm"] == pytest.approx(2.0)
    assert found.turning["lower_arm"][1] == pytest.approx(np.percentile([90, 0], 95))
    assert found.people == (1.0, 1.0)


def test_motion_over_a_gap_is_that_of_the_frames_at_both_ends() -> None:
    keypoints = np.zeros((4, 17, 2))
    keypoints[:, SLOTS.index("head_bottom")] = [[0, 0], [50, 0], [0, 70], [6, 8]]
    keypoints[:, SLOTS.index("head_top")] = keypoints[:, SLOTS.index("head_bottom")]
    visible = np.full((4, 17), 2, np.uint8)
    found = measure([one_person(keypoints, visible, 10.0)], gap=3)
    assert found.motion["head"] == pytest.approx((1.0, 1.0))
