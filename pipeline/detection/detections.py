"""Person boxes as rows of ``schemas.BOXES``, from annotations or from a detector.

No non-maximum suppression is applied besides that of the detector. The public code of the papers
reads thresholds for it but does not use them (DCPose, PoseTrack.py, ``evaluate``).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.frames.video_frames import VideoFrames
from pipeline.core.geometry.boxes import clip_boxes, xyxy_to_xywh
from pipeline.core.tables.parquet import write_table
from pipeline.core.tables.schemas import BOXES

BOXES_FILE = "boxes.parquet"
"""File name in a unit of the stage ``detect``: the boxes of one video."""

Row = tuple[str, int, int, float, float, float, float, float, int, str]
"""Values of the columns of ``schemas.BOXES``, in order."""
Detections = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Boxes xyxy ``(n, 4)``, pixels of the frame, and scores ``(n,)`` within [0, 1]."""


class Detector(Protocol):
    """Interface of person detectors."""

    def __call__(self, frames: list[NDArray[np.uint8]]) -> list[Detections]:
        """Return the detections in each of the frames ``(H, W, 3)``, uint8, RGB, of equal size."""


def ground_truth_boxes(people: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """Return the annotated boxes, clipped to the image, with score 1.

    People without a labeled joint or with a box outside the image are omitted, as in the public
    code (DCPose, PoseTrack.py, ``_load_coco_keypoints_annotations``); see ``count_omitted``.

    Args:
        people: Rows of ``schemas.PEOPLE`` of one split.
        videos: Rows of ``schemas.VIDEOS`` of the same split.
    """
    rows: list[Row] = []
    for person, box, reason in _annotated_boxes(people, videos):
        if not reason:
            video, frame = str(person["video"]), int(person["frame"])
            same_frame = len(rows) > 0 and rows[-1][:2] == (video, frame)
            row = rows[-1][2] + 1 if same_frame else 0
            x, y, w, h = (float(value) for value in box)
            rows.append((video, frame, row, x, y, w, h, 1.0, person["person"], "ground_truth"))
    return box_table(rows)


def count_omitted(people: pd.DataFrame, videos: pd.DataFrame) -> dict[str, int]:
    """Return the number of people whom ``ground_truth_boxes`` omits, by reason.

    Args:
        people: Rows of ``schemas.PEOPLE`` of one split.
        videos: Rows of ``schemas.VIDEOS`` of the same split.
    """
    reasons = [reason for _, _, reason in _annotated_boxes(people, videos) if reason]
    return dict(Counter(reasons))


def _annotated_boxes(
    people: pd.DataFrame, videos: pd.DataFrame
) -> Iterator[tuple[dict[str, Any], NDArray[np.float64], str]]:
    """Yield each person, the clipped box and the reason to omit the person, or an empty string."""
    sizes = {row["video"]: (row["height"], row["width"]) for row in videos.to_dict("records")}
    for person in people.to_dict("records"):
        box = np.array([person[f"box_{side}"] for side in "xywh"])
        clipped = clip_boxes(box, sizes[str(person["video"])])
        reason = ""
        if not np.any(person["keypoints"]):
            reason = "without a labeled joint"
        elif not np.isfinite(box).all() or box[2:].min() <= 0:
            reason = "without a box or with a box without area"
        elif clipped[2:].min() <= 0:
            reason = "with a box outside the image"
        yield {str(key): value for key, value in person.items()}, clipped, reason


def detected_rows(
    video: str,
    frame: int,
    found: Detections,
    *,
    image_size: tuple[int, int],
    score_min: float,
    source: str,
) -> list[Row]:
    """Return the valid detections of one frame, sorted by decreasing score.

    Args:
        video: Name of the video.
        frame: Position of the frame.
        found: Output of the detector.
        image_size: Height and width of the frame. Boxes outside the frame are omitted.
        score_min: Minimum score. Boxes with a lower score are omitted.
        source: Name of the detector.

    Raises:
        ValueError: If a box or a score is not finite, or a score is outside [0, 1].
    """
    boxes, scores = xyxy_to_xywh(found[0].reshape(-1, 4)), np.asarray(found[1], dtype=np.float64)
    if not np.isfinite(boxes).all() or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(
            f"video {video!r}, frame {frame}: expected finite boxes with scores within [0, 1] from "
            f"the detector {source!r}, got scores {scores.tolist()!r:.80}; check its weights"
        )
    valid = (clip_boxes(boxes, image_size)[:, 2:] > 0).all(axis=1) & (scores >= score_min)
    order = np.flatnonzero(valid)[np.argsort(-scores[valid], kind="stable")]
    rows: list[Row] = []
    for row, i in enumerate(order):
        x, y, w, h = (float(value) for value in boxes[i])
        rows.append((video, frame, row, x, y, w, h, float(scores[i]), -1, source))
    return rows


def box_table(rows: list[Row]) -> pd.DataFrame:
    """Return the rows as a table, sorted by video, frame and row."""
    table = pd.DataFrame(rows, columns=BOXES.names)
    return table.sort_values(["video", "frame", "row"], kind="stable", ignore_index=True)


class DetectTask:
    """Detects the people of one video.

    Args:
        detector: The person detector.
        frames: Frames of every video.
        positions: Positions of the frames to process in every video.
        batch: Frames per call of the detector.
        score_min: Minimum score. Boxes with a lower score are omitted.
        source: Name of the detector.
    """

    def __init__(
        self,
        detector: Detector,
        frames: Mapping[str, VideoFrames],
        positions: Mapping[str, list[int]],
        *,
        batch: int,
        score_min: float,
        source: str,
    ) -> None:
        self._detector = detector
        self._frames = frames
        self._positions = positions
        self._batch = batch
        self._score_min = score_min
        self._source = source

    def __call__(self, name: str, folder: Path) -> None:
        """Write the boxes of the video ``name`` to ``folder``."""
        frames, positions = self._frames[name], self._positions[name]
        rows: list[Row] = []
        for start in range(0, len(positions), self._batch):
            group = positions[start : start + self._batch]
            results = self._detector([frames.read(position) for position in group])
            for position, found in zip(group, results, strict=True):
                rows += detected_rows(
                    name,
                    position,
                    found,
                    image_size=frames.image_size,
                    score_min=self._score_min,
                    source=self._source,
                )
        write_table(folder / BOXES_FILE, box_table(rows), BOXES)
