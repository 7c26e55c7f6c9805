"""Track ids follow people by the overlap of their boxes."""

import numpy as np

from pipeline.video.tracks import MAX_GAP, assign_track_ids


def ids(rows: list[tuple[int, float, float]]) -> list[int]:
    """Return the track ids of boxes of 10 x 20 pixels, given as (frame, x, y)."""
    frames = np.array([row[0] for row in rows], np.int64)
    boxes = np.array([[x, y, 10.0, 20.0] for _, x, y in rows]).reshape(-1, 4)
    return assign_track_ids(frames, boxes).tolist()


def test_ids_do_not_depend_on_the_order_of_boxes() -> None:
    assert ids([(0, 0, 0), (0, 50, 0), (1, 51, 0), (1, 1, 0), (2, 2, 0), (2, 52, 0)]) == [
        0, 1, 1, 0, 0, 1,
    ]  # fmt: skip


def test_the_largest_overlap_is_matched_first() -> None:
    # Both boxes of frame 1 overlap the track; the nearer one continues it.
    assert ids([(0, 0, 0), (1, 4, 0), (1, 1, 0)]) == [0, 1, 0]


def test_a_box_far_from_all_tracks_starts_a_new_one() -> None:
    assert ids([(0, 0, 0), (1, 9, 0)]) == [0, 1]


def test_a_track_ends_after_the_maximum_gap() -> None:
    assert ids([(0, 0, 0), (MAX_GAP, 0, 0)]) == [0, 0]
    assert ids([(0, 0, 0), (MAX_GAP + 1, 0, 0)]) == [0, 1]


def test_the_id_of_an_ended_track_is_not_reused() -> None:
    late = MAX_GAP + 5
    assert ids([(0, 0, 0), (0, 50, 0), (late, 0, 0), (late + 1, 0, 0)]) == [0, 1, 2, 2]


def test_no_boxes_have_no_ids() -> None:
    assert ids([]) == []
