"""Frames of a video side by side, as ``posereel show-overlay`` draws them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.video.source import open_source

GAP = 8
"""White pixels between frames."""


def overlay_sheet(video: Path, count: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Return evenly spaced frames of a video side by side.

    Args:
        video: The video file.
        count: Number of frames; a shorter video is shown as a whole.

    Returns:
        RGB picture ``(H, W, 3)`` and the numbers of the frames, from 0.

    Raises:
        ValueError: If the file is missing, cannot be decoded or has no frame.
    """
    pictures = [frame.picture for frame in open_source(video).read()]
    if not pictures:
        raise ValueError(f"{video}: expected frames, found none; run posereel predict again")
    numbers = np.unique(np.linspace(0, len(pictures) - 1, count).round().astype(int)).tolist()
    space = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for number in numbers for part in (pictures[number], space)]
    return np.hstack(parts[:-1]), numbers
