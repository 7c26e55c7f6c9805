"""Read PoseTrack 2017, 2018 and 2021 files with annotations or predictions of one video."""

from pathlib import Path

from pipeline.core.posetrack import posetrack17, posetrack18
from pipeline.core.posetrack.annotations import (
    Annotations,
    check_boxes,
    check_coordinates,
    check_file_names,
)
from pipeline.core.strict_json import read_json


def read_annotations(path: Path) -> Annotations:
    """Read the ground truth of one video.

    Args:
        path: A file in the format of PoseTrack 2017 (``annolist``), 2018, 2021 or COCO-video.

    Raises:
        ValueError: If the file is malformed.
    """
    annotations = _read(path, truth=True)
    check_file_names(path, annotations.file_names)
    check_coordinates(path, annotations.people, annotations.regions)
    check_boxes(path, annotations.people)
    return annotations


def read_predictions(path: Path) -> Annotations:
    """Read the predictions for one video. The format may differ from that of the ground truth.

    Args:
        path: A file with one entry per frame of the ground truth, in the same order.

    Raises:
        ValueError: If the file is malformed, as in ``read_annotations``.
    """
    return _read(path, truth=False)


def _read(path: Path, *, truth: bool) -> Annotations:
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(
            f"{path}: expected an object with `images` or `annolist`, got {type(values).__name__}; "
            "give one PoseTrack file per video, not a list of results"
        )
    if "annolist" in values and "images" in values:
        raise ValueError(
            f"{path}: expected either `annolist` (2017) or `images` (2018, 2021), got both; "
            "keep one format per file"
        )
    parse = posetrack17.parse if "annolist" in values else posetrack18.parse
    return parse(values, path, truth=truth)
