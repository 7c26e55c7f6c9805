"""A video with the poses drawn into it, as H.264 that plays in a browser."""

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

_CLOCK = 90_000
"""Ticks per second; every usual frame rate and any variable one falls on them."""
_IDS = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180))
"""Colors of boxes by id, in turn."""


def write_overlay(
    path: Path, frames: Iterable[Frame], poses: pd.DataFrame, rate: float, score_min: float
) -> None:
    """Write a video with poses, boxes and ids; frames are shown when they were in the source.

    Args:
        path: An .mp4 file.
        frames: The frames to show, in order, at least one.
        poses: Rows of ``video_poses.POSES``.
        rate: Frames per second on average, a hint for players.
        score_min: Joints with a lower score are drawn as hidden.
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
                stream.codec_context.time_base = Fraction(1, _CLOCK)
                first = frame.seconds
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            # Two frames of one instant would not be a film.
            last = max(round((frame.seconds - first) * _CLOCK), last + 1)
            shown.pts, shown.time_base = last, Fraction(1, _CLOCK)
            container.mux(stream.encode(shown))
        if stream is not None:
            container.mux(stream.encode())


def draw_people(
    picture: NDArray[np.uint8], people: pd.DataFrame | None, score_min: float
) -> NDArray[np.uint8]:
    """Return a frame with its people drawn into it.

    Args:
        picture: RGB ``(H, W, 3)``.
        people: Rows of ``video_poses.POSES`` of this frame; None if there are none.
        score_min: Joints with a lower score are drawn as hidden.
    """
    thickness = max(2, round(min(picture.shape[:2]) / 300))
    for person in [] if people is None else people.to_dict("records"):
        box = [person[f"box_{side}"] for side in "xywh"]
        color = _IDS[person["track_id"] % len(_IDS)]
        picture = draw_box(picture, box, color, max(1, thickness // 2))
        seen = np.where(np.asarray(person["scores"]) < score_min, 1, 2)
        joints = np.asarray(person["keypoints"]).reshape(-1, 2)
        picture = draw_pose(picture, joints, seen, thickness=thickness)
        if person["track_id"] >= 0:
            where = int(box[0]), max(10 * thickness, int(box[1]) - 4)
            label, face = str(person["track_id"]), cv2.FONT_HERSHEY_SIMPLEX
            for shade, width in (((0, 0, 0), 3 * thickness), (color, thickness)):
                cv2.putText(picture, label, where, face, thickness / 3, shade, width, cv2.LINE_AA)
    return picture


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture with even sides, which the color format wants: a border is repeated."""
    bottom, right = picture.shape[0] % 2, picture.shape[1] % 2
    return np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode="edge")
