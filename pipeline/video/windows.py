"""A stretch of a video in memory: some key frames and the neighbors that their clips need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.video.source import Frame


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """Key frames ``start`` to ``stop - 1`` and delta frames on each side, where there are any."""

    start: int
    stop: int
    end: int
    """One past the last frame that clips may show: the video's end, or past every neighbor."""
    frames: dict[int, Frame]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return a frame's pixels, RGB ``(H, W, 3)``."""
        return self.frames[number].picture


def split_windows(
    frames: Iterable[Frame], first: int, last: int | None, *, delta: int, length: int
) -> Iterator[FrameWindow]:
    """Yield a video's key frames in windows; no more than one window is held.

    Args:
        frames: All frames of the video, in order.
        first: First key frame.
        last: Last key frame; None: that of the video.
        delta: Neighbors that clips need on each side.
        length: Key frames per window.
    """
    held: dict[int, Frame] = {}
    start = first
    for frame in frames:
        if frame.number < start - delta:
            continue
        if last is not None and frame.number > last + delta:
            break
        held[frame.number] = frame
        stop = start + length if last is None else min(start + length, last + 1)
        if start < stop and frame.number == stop + delta - 1:
            yield FrameWindow(start, stop, frame.number + 1, held)
            held = {n: f for n, f in held.items() if n >= stop - delta}
            start = stop
    # What is left lies at the video's end, and its clips stop there.
    end = max(held, default=-1) + 1
    stop = end if last is None else min(end, last + 1)
    for begin in range(start, stop, length):
        yield FrameWindow(begin, min(begin + length, stop), end, held)
