"""Windows of a video in memory: key frames and the neighbors that their clips need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.video.source import Frame


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """Key frames ``start`` to ``stop - 1`` and up to ``reach`` frames on each side."""

    start: int
    stop: int
    end: int
    """One past the last frame that clips may contain: the video's end or that of the neighbors."""
    frames: dict[int, Frame]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return the pixels of a frame, RGB, ``(H, W, 3)``."""
        return self.frames[number].picture


def split_windows(
    frames: Iterable[Frame], first: int, last: int | None, *, reach: int, length: int
) -> Iterator[FrameWindow]:
    """Yield the key frames of a video in windows, with one window in memory at a time.

    Args:
        frames: All frames of the video in order.
        first: First key frame.
        last: Last key frame; None for the last frame of the video.
        reach: Number of frames that clips need on each side: delta times the gap.
        length: Number of key frames per window.
    """
    kept: dict[int, Frame] = {}
    start = first
    for frame in frames:
        if frame.number < start - reach:
            continue
        if last is not None and frame.number > last + reach:
            break
        kept[frame.number] = frame
        stop = start + length if last is None else min(start + length, last + 1)
        if start < stop and frame.number == stop + reach - 1:
            yield FrameWindow(start, stop, frame.number + 1, kept)
            kept = {n: f for n, f in kept.items() if n >= stop - reach}
            start = stop
    # The remaining windows end with the video.
    end = max(kept, default=-1) + 1
    stop = end if last is None else min(end, last + 1)
    for begin in range(start, stop, length):
        yield FrameWindow(begin, min(begin + length, stop), end, kept)
