"""Drawings have the expected colors at single pixels."""

import numpy as np
import pytest

from pipeline.core.skeleton import JOINT_SLOTS, JOINTS, SLOTS
from pipeline.report.drawing import (
    SIDE_COLORS,
    contact_sheet,
    draw_box,
    draw_caption,
    draw_pose,
    enlarge,
    side_of,
)

BLACK = np.zeros((80, 100, 3), np.uint8)


def joints(**places: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    keypoints, visible = np.zeros((15, 2)), np.zeros(15, int)
    for name, place in places.items():
        keypoints[JOINTS.index(name)] = place
        visible[JOINTS.index(name)] = 2
    return keypoints, visible


def test_a_visible_joint_is_a_dot_in_the_color_of_its_side() -> None:
    drawn = draw_pose(BLACK, *joints(left_wrist=(30, 40), right_wrist=(60, 20), nose=(80, 60)))
    assert drawn[40, 30].tolist() == list(SIDE_COLORS["left"])
    assert drawn[20, 60].tolist() == list(SIDE_COLORS["right"])
    assert drawn[60, 80].tolist() == list(SIDE_COLORS["middle"])
    assert not BLACK.any()


def test_an_occluded_joint_is_a_ring_and_a_missing_joint_is_not_drawn() -> None:
    keypoints, visible = joints(left_wrist=(30, 40))
    ring = draw_pose(BLACK, keypoints, np.minimum(visible, 1))
    assert ring.any()
    assert ring[40, 30].max() < 0.2 * ring.max()
    assert not draw_pose(BLACK, keypoints, np.zeros(15)).any()


def test_a_limb_needs_both_of_its_joints() -> None:
    both = draw_pose(BLACK, *joints(left_elbow=(20, 20), left_wrist=(20, 60)))
    assert both[40, 20].tolist() == list(SIDE_COLORS["left"])
    assert not draw_pose(BLACK, *joints(left_elbow=(20, 20)))[40, 20].any()


def test_fifteen_joints_and_seventeen_slots_give_the_same_image() -> None:
    rng = np.random.default_rng(0)
    slots, visible = rng.uniform(10, 70, (17, 2)), rng.integers(0, 3, 17)
    visible[[SLOTS.index("left_ear"), SLOTS.index("right_ear")]] = 2
    drawn = draw_pose(BLACK, slots, visible)
    assert (drawn == draw_pose(BLACK, slots[JOINT_SLOTS], visible[JOINT_SLOTS])).all()


def test_other_numbers_of_joints_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(16, 2\) and \(16,\)"):
        draw_pose(BLACK, np.zeros((16, 2)), np.zeros(16))
    with pytest.raises(ValueError, match=r"got \(15, 2\) and \(17,\)"):
        draw_pose(BLACK, np.zeros((15, 2)), np.zeros(17))


def test_the_side_of_a_joint_comes_from_its_name() -> None:
    assert [side_of(name) for name in ("left_hip", "right_knee", "head_top")] == [
        "left",
        "right",
        "middle",
    ]


def test_a_box_is_drawn_on_its_edges_only() -> None:
    drawn = draw_box(BLACK, (10, 20, 30, 40), (255, 0, 0))
    assert drawn[20, 25, 0] > 200
    assert drawn[40, 10, 0] > 200
    assert not drawn[..., 1:].any()
    assert not drawn[40, 25].any()
    assert not drawn[10, 25].any()


def test_a_contact_sheet_is_filled_row_by_row() -> None:
    tiles = [np.full((10, 12, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(tiles, 2, gap=1)
    assert sheet.shape == (2 * 11 + 1, 2 * 13 + 1, 3)
    assert sheet[1, 1, 0] == 10
    assert sheet[1, 14, 0] == 20
    assert sheet[12, 1, 0] == 30
    assert sheet[12, 14, 0] == 255
    assert (sheet[0] == 255).all()


def test_captions_are_written_on_the_tiles() -> None:
    tiles = [np.full((80, 100, 3), 90, np.uint8)] * 2
    plain, written = contact_sheet(tiles, 2), contact_sheet(tiles, 2, ["a", "b"])
    assert (plain != written).any()
    assert draw_caption(tiles[0], "a").max() > 200


def test_a_contact_sheet_of_unequal_or_no_tiles_is_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        contact_sheet([BLACK, BLACK[:10]], 2)
    with pytest.raises(ValueError, match="one size"):
        contact_sheet([], 2)
    with pytest.raises(ValueError, match="expected 1 captions"):
        contact_sheet([BLACK], 1, ["a", "b"])


def test_enlarging_preserves_uniform_areas() -> None:
    large = enlarge(np.full((5, 6, 3), 77, np.uint8), 3)
    assert large.shape == (15, 18, 3)
    assert (large == 77).all()
