"""The frames of a video on disk, and its key frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.frames.images import read_frame

KeyFrames = Literal["labelled", "all"]


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The image files of one video."""

    root: Path
    """The data set's folder."""
    image_size: tuple[int, int]
    """Height and width of every frame."""
    files: tuple[str, ...]
    """Path of every frame relative to ``root``, in temporal order."""
    sha256: tuple[str, ...]
    """SHA-256 of every file."""

    def read(self, frame: int) -> NDArray[np.uint8]:
        """Read one frame, ``(H, W, 3)``, uint8, RGB.

        Raises:
            ValueError: If the file is invalid; see ``images.read_frame``.
        """
        return read_frame(
            self.root, self.files[frame], sha256=self.sha256[frame], image_size=self.image_size
        )


def videos_of_split(
    videos: pd.DataFrame, frames: pd.DataFrame, split: str, root: Path
) -> Iterator[tuple[str, VideoFrames, pd.DataFrame]]:
    """Yield the name, the frames and the rows of the frame table of every video of a split.

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
        video_frames = VideoFrames(root, image_size, tuple(rows["file"]), tuple(rows["sha256"]))
        yield str(video["video"]), video_frames, rows


def key_positions(frames: pd.DataFrame, key_frames: KeyFrames) -> Sequence[int]:
    """Return the positions of the key frames of a video.

    Args:
        frames: Rows of ``schemas.FRAMES`` of the video.
        key_frames: Whether labeled frames or all frames are key frames.
    """
    chosen = frames if key_frames == "all" else frames[frames["labelled"]]
    return [int(frame) for frame in chosen["frame"]]
