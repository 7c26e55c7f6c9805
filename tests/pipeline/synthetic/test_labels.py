"""Labels of rendered frames against the official rules and the part map."""

import numpy as np
import pytest

from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.dataset import video_specs
from pipeline.synthetic.labels import frame_labels, ignored, overlap
from pipeline.synthetic.painting import PARTS_PER_PERSON, part_map
from pipeline.synthetic.scene import Scene, build_scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [build_scene(spec) for spec in video_specs("tests", 12, frames=3)]


def test_boxes_are_the_labeled_joints_extent_times_1_3_cut_at_the_edges(
    scenes: list[Scene],
) -> None:
    # PoseTrack18's files: bbox is exactly 1.3 x the extent of the labeled keypoints.
    for scene in scenes:
        labels = frame_labels(scene, 1, part_map(scene, 1)[1])
        for person in np.flatnonzero(labels.present).tolist():
            points = labels.keypoints[person][labels.visible[person] > 0]
            x0, y0 = points.min(axis=0)
            x1, y1 = points.max(axis=0)
            left, right = x0 - 0.15 * (x1 - x0), x1 + 0.15 * (x1 - x0)
            top, bottom = y0 - 0.15 * (y1 - y0), y1 + 0.15 * (y1 - y0)
            x, y, width, height = labels.boxes[person]
            assert (x, y) == pytest.approx((max(left, 0), max(top, 0)))
            assert (x + width, y + height) == pytest.approx((min(right, 319), min(bottom, 239)))


def test_the_head_box_gives_back_the_head_size(scenes: list[Scene]) -> None:
    # poseval, eval_helpers.py, getHeadSize: 0.6 x the diagonal.
    for scene in scenes:
        labels = frame_labels(scene, 1, part_map(scene, 1)[1])
        for person in np.flatnonzero(labels.present).tolist():
            size = 0.6 * np.hypot(*labels.head_boxes[person, 2:])
            assert size == pytest.approx(scene.stances[person].scale[1], rel=0.01)


def test_a_seen_joint_shows_its_owner_and_a_person_behind_a_wall_is_not_labeled(
    scenes: list[Scene],
) -> None:
    for scene in scenes:
        parts = part_map(scene, 1)[1]
        labels = frame_labels(scene, 1, parts)
        for person, slot in np.argwhere(labels.visible == 2).tolist():
            x, y = np.round(labels.keypoints[person, slot]).astype(int)
            window = parts[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            assert person in window // PARTS_PER_PERSON, SLOTS[slot]
        walled = frame_labels(scene, 1, np.full_like(parts, -1))
        assert not walled.present.any()
        assert not (walled.visible == 2).any()


def test_noses_are_hidden_from_behind_and_seen_from_the_front() -> None:
    nose = SLOTS.index("nose")
    agree = []
    for spec in video_specs("tests", 30, frames=1, height=120, width=160):
        scene = build_scene(spec)
        labels = frame_labels(scene, 0, part_map(scene, 0)[1])
        for person in np.flatnonzero(labels.present).tolist():
            facing = np.cos(scene.people[person].yaw)
            flag = labels.visible[person, nose]
            if flag and abs(facing) > 0.8:
                agree.append((flag == 2) == (facing > 0))
    assert len(agree) > 50
    assert np.mean(agree) > 0.8


def test_overlap_is_the_largest_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [100, 100, 4, 4.0]])
    assert overlap(boxes) == pytest.approx(50 / 150)
    assert overlap(boxes[:1]) == 0
    assert overlap(boxes[:0]) == 0


def test_people_without_labels_lie_inside_an_ignored_region(scenes: list[Scene]) -> None:
    regions = 0
    for scene in scenes:
        polygons = ignored(scene, 1)
        assert bool(polygons) <= (scene.labeled < len(scene.people))
        for polygon in polygons:
            regions += 1
            (left, top), (right, bottom) = polygon[0], polygon[2]
            for seen in scene.stances[scene.labeled :]:
                places = np.clip(seen.points[1], 0, [319, 239])
                assert ((places >= [left - 1, top - 1]) & (places <= [right + 1, bottom + 1])).all()
    assert regions
