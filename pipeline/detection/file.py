"""Precomputed detections: COCO results, also as DCPose and its kin hand them around."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.detection.detections import Row, box_table, detected_rows
from pipeline.geometry.boxes import xywh_to_xyxy
from pipeline.strict_json import read_json

PERSON = 1
"""COCO's category of people."""
_FORM = "{image_id or image_name, category_id, bbox: [x, y, w, h], score}"

Place = tuple[str, int]
"""A video and a frame of it."""


def read_boxes(
    path: Path, frames: pd.DataFrame, videos: pd.DataFrame, score_min: float
) -> pd.DataFrame:
    """Return the boxes of a file that belong to the frames of one split.

    A record names its frame by ``image_id`` or, in the precomputed ``val_boxes.json`` of
    PoseWarper, DCPose and their kin, by ``image_name``: then folder and file name count, because
    the path before them differs. Records of other categories or of unknown frames are passed over.

    Args:
        path: JSON list of COCO results.
        frames: Rows of ``schemas.FRAMES`` of the split.
        videos: Rows of ``schemas.VIDEOS`` of the split.
        score_min: Boxes with a lower score are left out.

    Raises:
        ValueError: If the file is malformed, a box has no area, a score is outside [0, 1], or the
            split has frames and not one record names any of them.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise ValueError(
            f"{path}: expected a list of COCO results, got {type(records).__name__}; write one "
            f"record {_FORM} per box"
        )
    places = _Places(frames)
    sizes = {row["video"]: (row["height"], row["width"]) for row in videos.to_dict("records")}
    found: dict[Place, list[tuple[list[float], float]]] = {}
    for number, record in enumerate(records):
        place, box, score = _parse(path, number, record, places)
        if place is not None:
            found.setdefault(place, []).append((box, score))
    if len(frames) and not found:
        raise ValueError(
            f"{path}: expected boxes of people in the {len(frames)} frames of this split, got none "
            f"in {len(records)} records; give the detections of this data set, named by image_id "
            "or image_name, or choose another detect.kind"
        )
    rows: list[Row] = []
    for place, members in found.items():
        boxes, scores = (np.array(column) for column in zip(*members, strict=True))
        rows += detected_rows(
            *place,
            (xywh_to_xyxy(boxes), scores),
            image_size=sizes[place[0]],
            score_min=score_min,
            source="file",
        )
    return box_table(rows)


class _Places:
    """The frames of a split, by what a record may call them."""

    def __init__(self, frames: pd.DataFrame) -> None:
        self._by_id: dict[int, Place] = {}
        self._by_name: dict[tuple[str, ...], Place] = {}
        self._twice: set[int] = set()
        for row in frames.to_dict("records"):
            place, image_id = (str(row["video"]), int(row["frame"])), int(row["image_id"])
            self._by_name[_ending(row["file"])] = place
            if image_id in self._by_id:
                self._twice.add(image_id)
            elif image_id >= 0:
                self._by_id[image_id] = place

    def find(self, record: Mapping[str, Any]) -> Place | None:
        """Return the frame of a record, nothing if it is none of ours."""
        if "image_name" in record:
            return self._by_name.get(_ending(record["image_name"]))
        if record["image_id"] in self._twice:
            raise ValueError("this image_id is that of frames in several videos: use image_name")
        return self._by_id.get(record["image_id"])


def _ending(name: str) -> tuple[str, ...]:
    return PurePosixPath(name).parts[-2:]


def _parse(
    path: Path,
    number: int,
    record: Any,  # noqa: ANN401
    places: _Places,
) -> tuple[Place | None, list[float], float]:
    """Return the frame of a record if it shows a person, its box and its score."""
    try:
        place = places.find(record) if record["category_id"] == PERSON else None
        box, score = [float(value) for value in record["bbox"]], float(record["score"])
        _, _, width, height = box
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: record {number}: expected {_FORM}, got {record!r:.80} ({error}); mend or "
            "remove it"
        ) from error
    if width <= 0 or height <= 0 or not 0 <= score <= 1:
        raise ValueError(
            f"{path}: record {number}: expected positive width and height and a score within "
            f"[0, 1], got bbox {box} and score {score}; mend or remove it"
        )
    return place, box, score
