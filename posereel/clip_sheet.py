"""Contact sheets of rendered videos, as ``posereel show-clips`` draws them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing import contact_sheet, draw_box, draw_pose, enlarge
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.rendering import SyntheticVideo, render_video

_FACTOR = 2


def _drawn(video: SyntheticVideo, frame: int, plain: bool) -> NDArray[np.uint8]:
    """Return an enlarged frame with its labels."""
    image = enlarge(video.images[frame], _FACTOR)
    if plain:
        return image
    for polygon in video.ignored[frame]:
        corners = np.array(polygon) * _FACTOR
        low, high = corners.min(axis=0), corners.max(axis=0)
        image = draw_box(image, np.concatenate([low, high - low]), (150, 150, 150), 2)
    for person in np.flatnonzero(video.present[frame]).tolist():
        # Pixel centers are at integers, so enlarging moves the center of the first pixel.
        places = video.keypoints[frame, person] * _FACTOR + (_FACTOR - 1) / 2
        image = draw_pose(image, places, video.visible[frame, person])
    return image


def _row(spec: VideoSpec, columns: int, plain: bool) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Return one video's pictures and captions."""
    video = render_video(spec)
    start = (spec.frames - columns) // 2
    frames = range(start, start + columns)
    captions = [
        f"{spec.name} {frame} {video.tags[frame]}{'' if video.labeled[frame] else ' unlabeled'}"
        for frame in frames
    ]
    return [_drawn(video, frame, plain) for frame in frames], captions


def clip_sheet(
    specs: Sequence[VideoSpec], columns: int, *, plain: bool, width: int
) -> NDArray[np.uint8]:
    """Return a picture with one row per video and consecutive frames as columns.

    Args:
        specs: The videos to render.
        columns: Frames per video, from the middle of it.
        plain: Whether to leave out the labels.
        width: Width of the picture in pixels; 0 does not resize it.

    Returns:
        RGB picture ``(H, W, 3)``.
    """
    rows = [_row(spec, columns, plain) for spec in specs]
    tiles = [tile for pictures, _ in rows for tile in pictures]
    sheet = contact_sheet(tiles, columns, [caption for _, lines in rows for caption in lines])
    if not width:
        return sheet
    height = round(sheet.shape[0] * width / sheet.shape[1])
    return np.asarray(cv2.resize(sheet, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
