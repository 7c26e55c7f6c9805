"""Precomputed detections in COCO's result format, including that of DCPose and its derivatives."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.geometry.boxes import xywh_to_xyxy
from pipeline.core.strict_json import read_json
from pipeline.detection.detections import Row, box_table, detected_rows

PERSON = 1
"""COCO's category id of people."""
_FORMAT = "{image_id or image_name, category_id, bbox: [x, y, w, h], score}"

FrameKey = tuple[str, int]
"""Name of a video and position of a frame."""


def read_boxes(
    path: Path, frames: pd.DataFrame, videos: pd.DataFrame, score_min: float
) -> pd.DataFrame:
    """Return the boxes of the frames of one split.

    A record refers to its frame by ``image_id`` or, in the precomputed ``val_boxes.json`` of
    PoseWarper, DCPose and their derivatives, by ``image_name``. Image names are compared by folder
    and file name, because the leading path differs. Records of other categories or of unknown
    frames are ignored.

    Args:
        path: JSON list of COCO results.
        frames: Rows of ``schemas.FRAMES`` of the split.
        videos: Rows of ``schemas.VIDEOS`` of the split.
        score_min: Minimum score. Boxes with a lower score are omitted.

    Raises:
        ValueError: If the file is malformed, a box has no area, a score is outside [0, 1], or no
            record refers to a frame of a non-empty split.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise ValueError(
            f"{path}: expected a list of COCO results, got {type(records).__name__}; write one "
            f"record {_FORMAT} per box"
        )
    lookup = _FrameLookup(frames)
    sizes = {row["video"]: (row["height"], row["width"]) for row in videos.to_dict("records")}
    found: dict[FrameKey, list[tuple[list[float], float]]] = {}
    for number, record in enumerate(records):
        frame_key, box, score = _parse(path, number, record, lookup)
        if frame_key is not None:
            found.setdefault(frame_key, []).append((box, score))
    if len(frames) and not found:
        raise ValueError(
            f"{path}: expected boxes of people in the {len(frames)} frames of this split, got none "
            f"in {len(records)} records; give the detections of this data set, with image_id or "
            "image_name, or choose another detect.kind"
        )
    rows: list[Row] = []
    for frame_key, members in found.items():
        boxes, scores = (np.array(column) for column in zip(*members, strict=True))
        rows += detected_rows(
            *frame_key,
            (xywh_to_xyxy(boxes), scores),
            image_size=sizes[frame_key[0]],
            score_min=score_min,
            source="file",
        )
    return box_table(rows)


class _FrameLookup:
    """Finds the frame of a record by image id or image name."""

    def __init__(self, frames: pd.DataFrame) -> None:
        self._by_id: dict[int, FrameKey] = {}
        self._by_name: dict[tuple[str, ...], FrameKey] = {}
        self._ambiguous: set[int] = set()
        for row in frames.to_dict("records"):
            frame_key, image_id = (str(row["video"]), int(row["frame"])), int(row["image_id"])
            self._by_name[_ending(row["file"])] = frame_key
            if image_id in self._by_id:
                self._ambiguous.add(image_id)
            elif image_id >= 0:
                self._by_id[image_id] = frame_key

    def find(self, record: Mapping[str, Any]) -> FrameKey | None:
        """Return the frame of a record, or None if it is not in the split."""
        if "image_name" in record:
            return self._by_name.get(_ending(record["image_name"]))
        if record["image_id"] in self._ambiguous:
            raise ValueError("this image_id occurs in several videos: use image_name")
        return self._by_id.get(record["image_id"])


def _ending(name: str) -> tuple[str, ...]:
    """Return the last folder and the file name of a path."""
    return PurePosixPath(name).parts[-2:]


def _parse(
    path: Path,
    number: int,
    record: Any,  # noqa: ANN401
    lookup: _FrameLookup,
) -> tuple[FrameKey | None, list[float], float]:
    """Return the frame of a record, or None for other categories, and its box and score."""
    try:
        frame_key = lookup.find(record) if record["category_id"] == PERSON else None
        box, score = [float(value) for value in record["bbox"]], float(record["score"])
        _, _, width, height = box
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: record {number}: expected {_FORMAT}, got {record!r:.80} ({error}); "
            "correct or remove it"
        ) from error
    if width <= 0 or height <= 0 or not 0 <= score <= 1:
        raise ValueError(
            f"{path}: record {number}: expected positive width and height and a score within "
            f"[0, 1], got bbox {box} and score {score}; correct or remove it"
        )
    return frame_key, box, score
