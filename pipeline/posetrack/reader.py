"""Read annotations and predictions of PoseTrack 2017, 2018 and 2021, one file per video."""

from pathlib import Path

from pipeline.posetrack import posetrack17, posetrack18
from pipeline.posetrack.annotations import Annotations, check_boxes, check_file_names
from pipeline.strict_json import read_json


def read_annotations(path: Path) -> Annotations:
    """Read the ground truth of one video.

    Args:
        path: A file of PoseTrack 2017's (``annolist``), 2018's, 2021's or COCO-video's form.

    Raises:
        ValueError: If the file is malformed; the message says where, what was expected, what came
            and the cure.
    """
    annotations = _read(path, truth=True)
    check_file_names(path, annotations.file_names)
    check_boxes(path, annotations.people)
    return annotations


def read_predictions(path: Path) -> Annotations:
    """Read the predictions for one video, in any of the forms, whatever the ground truth's is.

    Args:
        path: A file with one entry per frame of the ground truth, in its order.

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
            "keep one form per file"
        )
    parse = posetrack17.parse if "annolist" in values else posetrack18.parse
    return parse(values, path, truth=truth)
