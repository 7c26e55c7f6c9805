"""Rendered frames and their labels as plain arrays: what every pretraining run reads.

A folder holds ``frames.npy``, uint8 ``(F, H, W, 3)``, read through a memory map, and
``labels.npz`` with the fields of ``Scenes``. Videos follow each other; the frames of a video are
consecutive. Scenes with flow also have ``flow.npy``, ``moving.npy`` and ``gaps.npy``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from pipeline.core.skeleton import JOINT_SLOTS
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.motion import exact_flow
from pipeline.synthetic.rendering import SyntheticVideo, render_video
from pipeline.synthetic.scene import build_scene

_QUALITY = 95
"""JPEG quality of the data set's frames (pipeline/synthetic/annotation.py)."""


@dataclass(frozen=True, slots=True)
class Scenes:
    """Frames of many videos and the P labeled people in them, sorted by frame.

    Attributes:
        frames: RGB, ``(F, H, W, 3)``.
        video: Number of the video of each frame, ``(F,)``.
        ignored: Whether people without labels are in the frame, ``(F,)``.
        frame: Frame of each person, ``(P,)``.
        track: Track id of each person within their video, ``(P,)``.
        keypoints: Joints in image pixels, ``(P, 15, 2)``.
        visible: 0 outside the picture, 1 hidden, 2 seen, ``(P, 15)``.
        boxes: xywh in image pixels, ``(P, 4)``.
        head_boxes: xywh in image pixels, ``(P, 4)``.
    """

    frames: NDArray[np.uint8]
    video: NDArray[np.int32]
    ignored: NDArray[np.bool_]
    frame: NDArray[np.int32]
    track: NDArray[np.int32]
    keypoints: NDArray[np.float64]
    visible: NDArray[np.int8]
    boxes: NDArray[np.float64]
    head_boxes: NDArray[np.float64]

    def people_of(self, frame: int) -> slice:
        """Return the rows of the people in a frame."""
        first, last = np.searchsorted(self.frame, [frame, frame + 1])
        return slice(int(first), int(last))


def read_scenes(folder: Path) -> Scenes:
    """Open a folder of scenes; the frames stay on disk until they are touched."""
    with np.load(folder / "labels.npz") as labels:
        return Scenes(frames=np.load(folder / "frames.npy", mmap_mode="r"), **dict(labels))


def write_scenes(folder: Path, specs: tuple[VideoSpec, ...], gaps: Sequence[int] = ()) -> None:
    """Render videos of equal length into a folder.

    Args:
        folder: Where the arrays go; made where it is missing.
        specs: The videos.
        gaps: For the first G frames of every video, to which later frame the exact flow is kept:
            ``flow.npy`` float16 ``(V, G, 2, H, W)``, (dx, dy) in pixels; ``moving.npy`` uint8
            ``(V, G, H, W)``: 1 on people, plus 2 where what a pixel shows stays in sight; and the
            gaps themselves, ``gaps.npy``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = specs[0]
    count, size = first.frames, (first.height, first.width)
    shape = (len(specs) * count, *size, 3)
    frames = open_memmap(folder / "frames.npy", mode="w+", dtype=np.uint8, shape=shape)
    if gaps:
        np.save(folder / "gaps.npy", np.array(gaps, np.int32))
        pairs = (len(specs), len(gaps))
        vectors = open_memmap(
            folder / "flow.npy", mode="w+", dtype=np.float16, shape=(*pairs, 2, *size)
        )
        moving = open_memmap(
            folder / "moving.npy", mode="w+", dtype=np.uint8, shape=(*pairs, *size)
        )
    people: list[dict[str, NDArray[np.generic]]] = []
    ignored = np.zeros(len(frames), np.bool_)
    for index, spec in enumerate(specs):
        video = render_video(spec)
        start = index * count
        frames[start : start + count] = [as_stored(image) for image in video.images]
        ignored[start : start + count] = [bool(polygons) for polygons in video.ignored]
        people += [_people(video, frame, start + frame) for frame in range(count)]
        if gaps:
            scene = build_scene(spec)
            for frame, gap in enumerate(gaps):
                exact = exact_flow(scene, frame, gap)
                vectors[index, frame] = exact.flow
                moving[index, frame] = (exact.people >= 0) + 2 * ~exact.occluded
    frames.flush()
    joined = {key: np.concatenate([one[key] for one in people]) for key in people[0]}
    video_of = np.repeat(np.arange(len(specs), dtype=np.int32), count)
    with (folder / "labels.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, video=video_of, ignored=ignored, **joined)


def as_stored(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as it comes back from the data set's JPEG files."""
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, code = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _people(video: SyntheticVideo, frame: int, position: int) -> dict[str, NDArray[np.generic]]:
    """Return the labels of one frame's people under the names of ``Scenes``' fields."""
    chosen = np.flatnonzero(video.present[frame])
    return {
        "frame": np.full(len(chosen), position, np.int32),
        "track": chosen.astype(np.int32),
        "keypoints": video.keypoints[frame, chosen][:, JOINT_SLOTS],
        "visible": video.visible[frame, chosen][:, JOINT_SLOTS].astype(np.int8),
        "boxes": video.boxes[frame, chosen],
        "head_boxes": video.head_boxes[frame, chosen],
    }
