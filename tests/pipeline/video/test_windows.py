"""Windows contain every key frame once, with the neighbors of its clip and no other frames."""

import numpy as np
import pytest

from pipeline.clips.clips import clip_frames
from pipeline.video.source import Frame
from pipeline.video.windows import split_windows


def video(count: int) -> list[Frame]:
    return [Frame(n, n / 25, np.full((1, 1, 3), n, np.uint8)) for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 20])
@pytest.mark.parametrize("delta", [0, 1, 2])
@pytest.mark.parametrize("gap", [1, 3])
@pytest.mark.parametrize("length", [1, 3, 50])
@pytest.mark.parametrize(("first", "last"), [(0, None), (2, None), (1, 4), (0, 0), (3, 90)])
def test_clips_have_the_same_frames_as_in_the_dag(
    count: int, delta: int, gap: int, length: int, first: int, last: int | None
) -> None:
    keys: list[int] = []
    for window in split_windows(video(count), first, last, reach=delta * gap, length=length):
        keys += range(window.start, window.stop)
        assert len(window.frames) <= length + 3 * delta * gap + 1
        for key in range(window.start, window.stop):
            shown = clip_frames(key, window.end, delta, gap)
            assert shown.tolist() == clip_frames(key, count, delta, gap).tolist()
            for number in shown.tolist():
                assert window.picture(number)[0, 0, 0] == number
    stop = count if last is None else min(count, last + 1)
    assert keys == list(range(first, stop))


def test_frames_after_the_last_clip_are_not_read() -> None:
    frames = iter(video(20))
    list(split_windows(frames, 2, 5, reach=2, length=4))
    assert next(frames).number == 9
