"""Write predictions in the format of the ground truth, one entry per frame, in the same order."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.atomic_file import write_file
from pipeline.core.posetrack.annotations import Annotations
from pipeline.core.skeleton import JOINT_SLOTS, JOINTS, POSEVAL_JOINTS, SLOTS

DECIMALS = 4
"""Decimals of a written coordinate in pixels. Scores are not rounded: rounding creates ties and
changes AP (float16 scores change it by up to 0.04 on a set of the size of PoseTrack18 val)."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Poses:
    """The P predicted people of one video."""

    frame: NDArray[np.int64]
    """Index in the image list of the ground truth, ``(P,)``."""
    keypoints: NDArray[np.float64]
    """xy in image pixels in the order of ``JOINTS``, ``(P, 15, 2)``."""
    scores: NDArray[np.float64]
    """``(P, 15)``."""
    person_scores: NDArray[np.float64]
    """``(P,)``."""
    boxes_xywh: NDArray[np.float64]
    """Image pixels, ``(P, 4)``."""
    track_ids: NDArray[np.int64]
    """``(P,)``; -1 without a track. Such people are numbered within their frame, because poseval
    requires ids that are unique within a frame."""


def write_predictions(path: Path, truth: Annotations, poses: Poses) -> None:
    """Write the predictions for one video atomically.

    Args:
        path: The file to write; its folder exists.
        truth: Ground truth that decides the format, the frames and their order.
        poses: Predicted people, in any order.

    Raises:
        ValueError: If a number is not finite or a person's frame is not in the ground truth.
    """
    document = prediction_document(truth, poses)
    text = json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n"
    write_file(path, text.encode())


def prediction_document(truth: Annotations, poses: Poses) -> Row:
    """Return what ``write_predictions`` writes.

    Raises:
        ValueError: As ``write_predictions``.
    """
    _refuse(truth, poses)
    order = np.argsort(poses.frame, kind="stable")
    sorted_poses = Poses(
        frame=poses.frame[order],
        keypoints=poses.keypoints[order].round(DECIMALS),
        scores=poses.scores[order],
        person_scores=poses.person_scores[order],
        boxes_xywh=poses.boxes_xywh[order].round(DECIMALS),
        track_ids=_track_ids(poses.frame[order], poses.track_ids[order]),
    )
    if truth.format == "posetrack17":
        return {"annolist": _annolist(truth, sorted_poses)}
    category = {"supercategory": "person", "id": 1, "name": "person", "keypoints": list(SLOTS)}
    return {
        "images": [
            {"file_name": name, "id": int(image), "frame_id": int(image)}
            for name, image in zip(truth.file_names, truth.image_ids, strict=True)
        ],
        "annotations": _annotations(truth, sorted_poses),
        "categories": [category],
    }


def _refuse(truth: Annotations, poses: Poses) -> None:
    frames = len(truth.file_names)
    if ((poses.frame < 0) | (poses.frame >= frames)).any():
        raise ValueError(
            f"predictions for {truth.path}: expected frames 0 to {frames - 1}, got "
            f"{poses.frame.min()} to {poses.frame.max()}; predict for this ground truth's frames"
        )
    for name in ("keypoints", "scores", "person_scores", "boxes_xywh"):
        values = getattr(poses, name)
        faulty = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if faulty.any():
            row = int(faulty.argmax())
            raise ValueError(
                f"predictions for {truth.path}: frame {poses.frame[row]}: expected finite {name}, "
                f"got {values[row].tolist()!s:.80}; find where the network or its input broke"
            )


def _track_ids(frame: NDArray[np.int64], track_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    first = np.searchsorted(frame, frame, side="left")
    within = np.arange(len(frame)) - first
    return within if (track_ids < 0).any() else track_ids


def _annotations(truth: Annotations, poses: Poses) -> list[Row]:
    keypoints = np.zeros((len(poses.frame), len(SLOTS), 3))
    keypoints[:, JOINT_SLOTS, :2] = poses.keypoints
    keypoints[:, JOINT_SLOTS, 2] = 1
    scores = np.zeros((len(poses.frame), len(SLOTS)))
    scores[:, JOINT_SLOTS] = poses.scores
    return [
        {
            "id": row + 1,
            "image_id": int(truth.image_ids[frame]),
            "category_id": 1,
            "track_id": int(poses.track_ids[row]),
            "bbox": poses.boxes_xywh[row].tolist(),
            "keypoints": keypoints[row].ravel().tolist(),
            "scores": scores[row].tolist(),
            "score": float(poses.person_scores[row]),
        }
        for row, frame in enumerate(poses.frame)
    ]


def _annolist(truth: Annotations, poses: Poses) -> list[Row]:
    entries: list[Row] = [
        {"image": [{"name": name}], "imgnum": [int(number)] if number >= 0 else [], "annorect": []}
        for name, number in zip(truth.file_names, truth.image_ids, strict=True)
    ]
    for row, frame in enumerate(poses.frame):
        entries[frame]["annorect"].append(
            {
                "track_id": [int(poses.track_ids[row])],
                "score": [float(poses.person_scores[row])],
                "annopoints": [{"point": _points(poses.keypoints[row], poses.scores[row])}],
            }
        )
    return entries


def _points(keypoints: NDArray[np.float64], scores: NDArray[np.float64]) -> list[Row]:
    rows = [JOINTS.index(name) for name in POSEVAL_JOINTS]
    return [
        {
            "id": [number],
            "x": [float(keypoints[row, 0])],
            "y": [float(keypoints[row, 1])],
            "is_visible": [1],
            "score": [float(scores[row])],
        }
        for number, row in enumerate(rows)
    ]
