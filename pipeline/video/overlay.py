"""Video with drawn poses, encoded as H.264 for browsers."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.report.drawing import draw_box, draw_pose
from pipeline.video.source import Frame

_TICKS = 90_000
"""Ticks per second of the time base, fine enough for common and for variable frame rates."""
_ID_COLORS = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
)
"""Colors of boxes by track id, used cyclically."""


def write_overlay(
    path: Path, frames: Iterable[Frame], poses: pd.DataFrame, rate: float, score_min: float
) -> None:
    """Write a video with poses, boxes and ids. Frames keep their display times.

    Args:
        path: An .mp4 file.
        frames: Frames in order, at least one.
        poses: Rows of ``pipeline.video.poses.POSES``.
        rate: Average number of frames per second, a hint for players.
        score_min: Joints with lower scores are drawn as hidden.
    """
    people = dict(iter(poses.groupby("frame")))
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = None
        first, last = 0.0, -1
        for frame in frames:
            picture = _even(draw_people(frame.picture, people.get(frame.number), score_min))
            if stream is None:
                stream = container.add_stream(
                    "libx264", rate=Fraction(rate).limit_denominator(1001)
                )
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "20", "preset": "veryfast"}
                stream.codec_context.time_base = Fraction(1, _TICKS)
                first = frame.seconds
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            # Time stamps must increase.
            last = max(round((frame.seconds - first) * _TICKS), last + 1)
            shown.pts, shown.time_base = last, Fraction(1, _TICKS)
            container.mux(stream.encode(shown))
        if stream is not None:
            container.mux(stream.encode())


def draw_people(
    picture: NDArray[np.uint8], people: pd.DataFrame | None, score_min: float
) -> NDArray[np.uint8]:
    """Return a copy of a frame with the poses drawn on it.

    Args:
        picture: RGB, ``(H, W, 3)``.
        people: Rows of ``pipeline.video.poses.POSES`` of this frame; None if there are none.
        score_min: Joints with lower scores are drawn as hidden.
    """
    thickness = max(2, round(min(picture.shape[:2]) / 300))
    for person in [] if people is None else people.to_dict("records"):
        box = [person[f"box_{side}"] for side in "xywh"]
        color = _ID_COLORS[person["track_id"] % len(_ID_COLORS)]
        picture = draw_box(picture, box, color, max(1, thickness // 2))
        seen = np.where(np.asarray(person["scores"]) < score_min, 1, 2)
        joints = np.asarray(person["keypoints"]).reshape(-1, 2)
        seen[np.isnan(joints).any(axis=1)] = 0
        picture = draw_pose(picture, joints, seen, thickness=thickness)
        if person["track_id"] >= 0:
            position = int(box[0]), max(10 * thickness, int(box[1]) - 4)
            label, font = str(person["track_id"]), cv2.FONT_HERSHEY_SIMPLEX
            for shade, width in (((0, 0, 0), 3 * thickness), (color, thickness)):
                cv2.putText(
                    picture, label, position, font, thickness / 3, shade, width, cv2.LINE_AA
                )
    return picture


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pad a picture to even sides, which the color format requires, by repeating its border."""
    bottom, right = picture.shape[0] % 2, picture.shape[1] % 2
    return np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode="edge")
