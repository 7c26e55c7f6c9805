"""Poses of a video as COCO and PoseTrack JSON files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.atomic_file import write_file
from pipeline.core.limbs import LIMBS
from pipeline.core.posetrack.annotations import Annotations, People, Regions
from pipeline.core.skeleton import JOINT_SLOTS, JOINTS, SLOTS
from pipeline.prediction.posetrack_predictions import Poses, prediction_document

Document = dict[str, Any]


def write_posetrack(path: Path, poses: pd.DataFrame, frames: Sequence[int], video: str) -> None:
    """Write poses as a PoseTrack18 file with one entry per frame, also for frames without people.

    Args:
        path: The file.
        poses: Rows of ``pipeline.video.poses.POSES``.
        frames: Numbers of all processed frames, the image ids.
        video: Name of the video, the folder in the file names of its frames.
    """
    _write(path, _posetrack(poses, frames, video))


def write_coco(
    path: Path,
    poses: pd.DataFrame,
    frames: Sequence[int],
    video: str,
    image_size: tuple[int, int],
) -> None:
    """Write poses as a COCO keypoint file, with image sizes and areas.

    Args:
        path: The file.
        poses: Rows of ``pipeline.video.poses.POSES``.
        frames: Numbers of all processed frames, the image ids.
        video: Name of the video.
        image_size: (height, width) of the frames in pixels.
    """
    document = _posetrack(poses, frames, video)
    for image in document["images"]:
        image["height"], image["width"] = image_size
    for person in document["annotations"]:
        person |= {
            "area": person["bbox"][2] * person["bbox"][3],
            "iscrowd": 0,
            "num_keypoints": sum(flag > 0 for flag in person["keypoints"][2::3]),
        }
    limbs = [[SLOTS.index(start) + 1, SLOTS.index(end) + 1] for start, end in LIMBS]
    document["categories"][0]["skeleton"] = limbs
    _write(path, document)


def _write(path: Path, document: Document) -> None:
    text = json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n"
    write_file(path, text.encode())


def _posetrack(poses: pd.DataFrame, frames: Sequence[int], video: str) -> Document:
    position = {number: i for i, number in enumerate(frames)}
    people = len(poses)
    scores = np.array(poses["scores"].tolist(), np.float64).reshape(people, len(JOINTS))
    keypoints = np.array(poses["keypoints"].tolist(), np.float64).reshape(people, len(JOINTS), 2)
    left_out = np.isnan(keypoints[:, :, 0])
    document = prediction_document(
        _without_people(frames, video),
        Poses(
            frame=np.array([position[number] for number in poses["frame"]], np.int64),
            keypoints=np.nan_to_num(keypoints),
            scores=scores,
            person_scores=scores.mean(axis=1) if people else np.zeros(0),
            boxes_xywh=poses[["box_x", "box_y", "box_w", "box_h"]].to_numpy(dtype=np.float64),
            track_ids=poses["track_id"].to_numpy(dtype=np.int64),
        ),
    )
    # The people of the document are in the order of the rows, which are sorted by frame.
    for person, absent in zip(document["annotations"], left_out, strict=True):
        for slot in JOINT_SLOTS[absent]:
            person["keypoints"][3 * slot : 3 * slot + 3] = [0.0, 0.0, 0.0]
            person["scores"][slot] = 0.0
    return document


def _without_people(frames: Sequence[int], video: str) -> Annotations:
    """Return annotations with all frames and no people, which define the format."""
    count = len(frames)
    none = np.zeros(0, np.int64)
    return Annotations(
        path=Path(video),
        format="posetrack18",
        file_names=tuple(f"{video}/{number:06d}.jpg" for number in frames),
        image_ids=np.array(frames, np.int64),
        image_sizes=np.zeros((count, 2), np.int32),
        labeled=np.ones(count, bool),
        has_labeled_flags=True,
        tags=("",) * count,
        regions=Regions(none.astype(np.int32), np.zeros(1, np.int64), np.zeros((0, 2))),
        people=People(
            frame=none.astype(np.int32),
            annotation_id=none,
            track_id=none,
            boxes_xywh=np.zeros((0, 4)),
            heads_xywh=np.zeros((0, 4)),
            keypoints=np.zeros((0, len(SLOTS), 3)),
            present=np.zeros((0, len(SLOTS)), bool),
            scores=np.zeros((0, len(SLOTS))),
            person_scores=np.zeros(0),
        ),
    )
