"""Key frames of a video."""

import pandas as pd

from pipeline.core.frames.video_frames import key_positions


def test_key_frames_are_the_labeled_ones_or_all() -> None:
    frames = pd.DataFrame({"frame": [0, 1, 2], "labelled": [True, False, True]})
    assert key_positions(frames, "labelled") == [0, 2]
    assert key_positions(frames, "all") == [0, 1, 2]
