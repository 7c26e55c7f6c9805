"""The frames of one video, read from disk one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.frames.images import read_frame

KeyFrames = Literal["labelled", "all"]


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The frames of one video on disk."""

    root: Path
    """The data set's folder."""
    image_size: tuple[int, int]
    """Height and width that every frame has."""
    files: tuple[str, ...]
    """Path of every frame relative to ``root``, in order."""
    sha256: tuple[str, ...]
    """Digest of every frame."""

    def read(self, frame: int) -> NDArray[np.uint8]:
        """Return one frame, ``(H, W, 3)`` RGB.

        Raises:
            ValueError: If its file is bad; see ``images.read_frame``.
        """
        return read_frame(
            self.root, self.files[frame], sha256=self.sha256[frame], image_size=self.image_size
        )


def videos_of_split(
    videos: pd.DataFrame, frames: pd.DataFrame, split: str, root: Path
) -> Iterator[tuple[str, VideoFrames, pd.DataFrame]]:
    """Yield every video of a split: its name, its frames, and its rows of the frames table.

    Args:
        videos: Rows of ``schemas.VIDEOS``.
        frames: Rows of ``schemas.FRAMES``.
        split: ``train`` or ``val``.
        root: The data set's folder.
    """
    rows_of = dict(iter(frames[frames["split"] == split].groupby("video", sort=False)))
    for video in videos[videos["split"] == split].to_dict("records"):
        rows = rows_of[video["video"]]
        image_size = int(video["height"]), int(video["width"])
        place = VideoFrames(root, image_size, tuple(rows["file"]), tuple(rows["sha256"]))
        yield str(video["video"]), place, rows


def key_positions(frames: pd.DataFrame, key_frames: KeyFrames) -> Sequence[int]:
    """Return the key frames of a video, from its rows of ``schemas.FRAMES``."""
    chosen = frames if key_frames == "all" else frames[frames["labelled"]]
    return [int(frame) for frame in chosen["frame"]]
