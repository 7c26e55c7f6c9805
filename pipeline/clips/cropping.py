"""Cutting the clips of a video out of its frames, each frame decoded once per variant."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_rows
from pipeline.frames.video_frames import VideoFrames
from pipeline.geometry.affine import mirror
from pipeline.store.shards import write_array


def crop(
    frame: NDArray[np.uint8],
    to_crop: NDArray[np.float64],
    crop_size: tuple[int, int],
    *,
    flipped: bool,
) -> NDArray[np.uint8]:
    """Return one crop of a frame: linear sampling, black beyond the picture.

    Args:
        frame: Picture ``(H, W, 3)``.
        to_crop: Matrix ``(2, 3)`` from image pixels to crop pixels, the mirroring included.
        crop_size: Height and width of the crop.
        flipped: Whether ``to_crop`` mirrors. The picture is then warped without the mirroring and
            its columns are reversed, which makes it the exact mirror image of the plain crop.
    """
    height, width = crop_size
    matrix = mirror(to_crop, width) if flipped else to_crop
    picture: NDArray[np.uint8] = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return picture[:, ::-1] if flipped else picture


def crop_clips(
    rows: pd.DataFrame, frames: VideoFrames, crop_size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of clips, ``(1, T, H, W, 3)`` each.

    Never more frames are held than those of one clip: rows are sorted by key frame, and what
    lies before a clip's first frame is not asked for again.

    Args:
        rows: Rows of ``schemas.CLIPS`` of one variant of one video, in order.
        frames: The video's frames.
        crop_size: Height and width of the crops.
    """
    held: dict[int, NDArray[np.uint8]] = {}
    for row in rows.to_dict("records"):
        wanted = [int(frame) for frame in row["frames"]]
        held = {frame: held[frame] for frame in wanted if frame in held}
        for frame in wanted:
            if frame not in held:
                held[frame] = frames.read(frame)
        to_crop = np.asarray(row["to_crop"]).reshape(2, 3)
        cut = {
            frame: crop(picture, to_crop, crop_size, flipped=bool(row["flipped"]))
            for frame, picture in held.items()
        }
        yield np.stack([cut[frame] for frame in wanted])[None]


class CropTask:
    """Makes the crops of one variant of one video.

    Args:
        boxes: Boxes and people of every video.
        frames: Frames of every video.
        settings: How clips are cut.
    """

    def __init__(
        self,
        boxes: Mapping[str, VideoBoxes],
        frames: Mapping[str, VideoFrames],
        settings: ClipSettings,
    ) -> None:
        self._boxes = boxes
        self._frames = frames
        self._settings = settings

    def __call__(self, name: str, folder: Path) -> None:
        """Write the array of the unit ``<video>/v<variant>`` into ``folder``."""
        video, _, variant = name.rpartition("/v")
        rows = clip_rows(self._boxes[video], int(variant), self._settings)
        size = self._settings.crop_size
        write_array(
            folder,
            crop_clips(rows, self._frames[video], size),
            rows=len(rows),
            row_shape=(2 * self._settings.delta + 1, *size, 3),
            dtype="uint8",
        )
