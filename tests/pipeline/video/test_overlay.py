"""Overlay videos: frame times of the source and drawn poses."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.video.overlay import draw_people, write_overlay
from pipeline.video.poses import POSES
from pipeline.video.source import Frame, open_source
from tests.pipeline.small_videos import number_of, numbered


def person(frame: int, track: int, score: float = 0.9) -> pd.DataFrame:
    """Return a pose with all joints at (70, 40) and a box around them."""
    row = (frame, 0.0, 0, track, 50.0, 20.0, 40.0, 40.0, 0.9, [70.0, 40.0] * 15, [score] * 15)
    return pd.DataFrame([row], columns=POSES.names)


def test_frames_keep_their_times_and_odd_sizes_are_padded(tmp_path: Path) -> None:
    seconds = [2.0, 2.04, 2.24, 2.25]
    pictures = numbered(4, (61, 91))
    frames = [Frame(n, t, p) for n, (t, p) in enumerate(zip(seconds, pictures, strict=True))]
    no_poses = person(0, 0).iloc[:0]

    write_overlay(tmp_path / "o.mp4", frames, no_poses, 25.0, 0.3)

    shown = list(open_source(tmp_path / "o.mp4").read())
    assert [frame.picture.shape for frame in shown] == [(62, 92, 3)] * 4
    assert [number_of(frame.picture) for frame in shown] == [0, 1, 2, 3]
    times = np.array([frame.seconds for frame in shown])
    np.testing.assert_allclose(times - times[0], np.array(seconds) - 2, atol=1e-3)


def test_the_file_is_streamable_h264_for_browsers(tmp_path: Path) -> None:
    write_overlay(tmp_path / "o.mp4", [Frame(0, 0.0, numbered(1)[0])], person(5, 0), 25.0, 0.3)
    data = (tmp_path / "o.mp4").read_bytes()
    # The index precedes the frames, and the codec is AVC 4:2:0 (High, not High 4:4:4).
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    profile = data[data.index(b"avcC") + 5]
    assert profile in (66, 77, 100)


def test_a_person_is_drawn_at_its_joints_on_a_copy() -> None:
    picture = np.zeros((90, 120, 3), np.uint8)
    drawn = draw_people(picture, person(0, 0), 0.3)
    assert not picture.any()
    assert drawn[36:45, 66:75].any()
    assert drawn[20, 55].any()
    assert not drawn[:, 100:].any()
    assert np.array_equal(draw_people(picture, None, 0.3), picture)


def test_ids_and_uncertain_joints_look_different() -> None:
    picture = np.zeros((90, 120, 3), np.uint8)
    first = draw_people(picture, person(0, 0), 0.3)
    assert (first != draw_people(picture, person(0, 1), 0.3)).any()
    assert (first != draw_people(picture, person(0, 0, score=0.1), 0.3))[36:45, 66:75].any()
    assert not draw_people(picture, person(0, -1), 0.3)[:18].any()
