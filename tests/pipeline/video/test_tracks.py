"""Ids follow people by their boxes."""

import numpy as np

from pipeline.video.tracks import PATIENCE, assign_track_ids


def ids(rows: list[tuple[int, float, float]]) -> list[int]:
    """Track boxes of 10 x 20 pixels: frame, x, y of each."""
    frames = np.array([row[0] for row in rows], np.int64)
    boxes = np.array([[x, y, 10.0, 20.0] for _, x, y in rows]).reshape(-1, 4)
    return assign_track_ids(frames, boxes).tolist()


def test_people_keep_their_ids_whatever_the_order_of_their_boxes() -> None:
    assert ids([(0, 0, 0), (0, 50, 0), (1, 51, 0), (1, 1, 0), (2, 2, 0), (2, 52, 0)]) == [
        0, 1, 1, 0, 0, 1,
    ]  # fmt: skip


def test_the_largest_overlap_is_joined_first() -> None:
    # Both boxes of frame 1 overlap the track; the nearer one goes on with it.
    assert ids([(0, 0, 0), (1, 4, 0), (1, 1, 0)]) == [0, 1, 0]


def test_a_box_far_from_all_tracks_begins_one() -> None:
    assert ids([(0, 0, 0), (1, 9, 0)]) == [0, 1]


def test_a_track_waits_for_its_person_but_not_for_ever() -> None:
    assert ids([(0, 0, 0), (PATIENCE, 0, 0)]) == [0, 0]
    assert ids([(0, 0, 0), (PATIENCE + 1, 0, 0)]) == [0, 1]


def test_a_lost_id_is_not_given_again() -> None:
    late = PATIENCE + 5
    assert ids([(0, 0, 0), (0, 50, 0), (late, 0, 0), (late + 1, 0, 0)]) == [0, 1, 2, 2]


def test_nobody_has_no_id() -> None:
    assert ids([]) == []
