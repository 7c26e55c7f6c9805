"""Crop the clips of a video; each frame is decoded once per variant."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_rows
from pipeline.core.frames.video_frames import VideoFrames
from pipeline.core.geometry.affine import mirror
from pipeline.core.store.shards import write_array


def crop(
    frame: NDArray[np.uint8],
    to_crop: NDArray[np.float64],
    crop_size: tuple[int, int],
    *,
    flipped: bool,
) -> NDArray[np.uint8]:
    """Crop a frame with bilinear sampling and black padding.

    Args:
        frame: Image ``(H, W, 3)``, uint8.
        to_crop: Matrix ``(2, 3)`` from image pixels to crop pixels, including the flip.
        crop_size: Height and width of the crop.
        flipped: Whether ``to_crop`` includes a horizontal flip. The frame is then warped without
            the flip and the columns are reversed, so that the result is the exact mirror image of
            the unflipped crop.
    """
    height, width = crop_size
    matrix = mirror(to_crop, width) if flipped else to_crop
    warped: NDArray[np.uint8] = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return warped[:, ::-1] if flipped else warped


def crop_clips(
    rows: pd.DataFrame, frames: VideoFrames, crop_size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of each clip, ``(1, T, H, W, 3)``, uint8.

    Only the frames of one clip are kept in memory. Rows are sorted by key frame, so earlier frames
    are not needed again.

    Args:
        rows: Rows of ``schemas.CLIPS`` of one variant of one video, in order.
        frames: The video's frames.
        crop_size: Height and width of the crops.
    """
    decoded: dict[int, NDArray[np.uint8]] = {}
    for row in rows.to_dict("records"):
        positions = [int(frame) for frame in row["frames"]]
        decoded = {frame: decoded[frame] for frame in positions if frame in decoded}
        for frame in positions:
            if frame not in decoded:
                decoded[frame] = frames.read(frame)
        to_crop = np.asarray(row["to_crop"]).reshape(2, 3)
        crops = {
            frame: crop(image, to_crop, crop_size, flipped=bool(row["flipped"]))
            for frame, image in decoded.items()
        }
        yield np.stack([crops[frame] for frame in positions])[None]


class CropTask:
    """Compute the crops of one variant of one video.

    Args:
        boxes: Boxes and people of every video.
        frames: Frames of every video.
        settings: Parameters of the clips.
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
        """Write the array of the unit ``<video>/v<variant>`` to ``folder``."""
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
