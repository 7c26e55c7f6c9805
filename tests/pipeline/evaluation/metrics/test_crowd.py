"""The crowd index of CrowdPose agrees with plain loops; the frames with the highest index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.metrics.crowd import crowd_index, hardest


def literal_index(
    boxes: list[list[float]], people: list[list[tuple[float, float] | None]]
) -> float:
    """Mean over people with a joint of (joints of others in the box) / (own joints)."""
    ratios = []
    for i, (x, y, width, height) in enumerate(boxes):
        own = sum(joint is not None for joint in people[i])
        if not own:
            continue
        others = 0
        for j, joints in enumerate(people):
            for joint in joints:
                if j != i and joint is not None:
                    others += x <= joint[0] <= x + width and y <= joint[1] <= y + height
        ratios.append(others / own)
    return round(sum(ratios) / len(ratios), 2) if ratios else 0.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_the_index_agrees_with_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = int(rng.integers(0, 6))
    boxes = rng.integers(0, 8, (people, 4)).astype(float)
    joints = rng.integers(0, 12, (people, 15, 2)).astype(float)
    labeled = rng.random((people, 15)) < rng.random((people, 1))
    lists = [
        [tuple(joint) if shown else None for joint, shown in zip(*person, strict=True)]
        for person in zip(joints.tolist(), labeled, strict=True)
    ]
    assert crowd_index(boxes, joints, labeled) == literal_index(boxes.tolist(), lists)


def test_people_inside_each_others_boxes_have_index_1_and_separate_people_0() -> None:
    joints = np.arange(30.0).reshape(1, 15, 2)
    both, labeled = np.concatenate([joints, joints + 1]), np.ones((2, 15), bool)
    around = np.array([[0.0, 0, 40, 40], [0, 0, 40, 40]])
    apart = np.array([[0.0, 0, 40, 40], [100, 0, 40, 40]])
    assert crowd_index(around, both, labeled) == 1.0
    assert crowd_index(apart, both, labeled) == 0.5
    assert crowd_index(around + 100, both, labeled) == 0.0


def test_the_edges_of_a_box_are_inside_and_the_index_is_not_clipped() -> None:
    joints = np.array([[[0.0, 0.0]] * 3, [[10.0, 20.0]] * 3])
    labeled = np.array([[True, False, False], [True, True, True]])
    boxes = np.array([[0.0, 0, 10, 20], [50, 50, 1, 1]])
    assert crowd_index(boxes, joints, labeled) == 1.5


def test_an_image_without_labeled_people_has_index_0() -> None:
    assert crowd_index(np.ones((1, 4)), np.zeros((1, 15, 2)), np.zeros((1, 15), bool)) == 0.0


@pytest.mark.parametrize(("frames", "share", "chosen"), [(15, 0.2, 3), (16, 0.2, 4), (1, 0.2, 1)])
def test_the_number_of_frames_is_rounded_up(frames: int, share: float, chosen: int) -> None:
    index = np.random.default_rng(0).random(frames)
    mask = hardest(index, share)
    assert mask.sum() == chosen
    assert index[mask].min() >= index[~mask].max(initial=0)


def test_earlier_frames_win_ties() -> None:
    assert hardest(np.array([0.0, 2, 1, 1, 1]), 0.5).tolist() == [False, True, True, True, False]
    assert hardest(np.zeros(0), 0.2).tolist() == []
    assert not hardest(np.ones(4), 0.0).any()
