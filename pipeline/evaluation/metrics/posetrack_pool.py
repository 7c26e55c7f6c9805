"""Pair the ground truth and predictions of many videos by frame and pool them into arrays.

This module implements steps S1 to S3 of PoseTrack AP, the selection of the files, frames and joints
that are scored. The official tools are poseval (leonid-pishchulin/poseval, poseval/eval_helpers.py
and convert.py) and that of PoseTrack21 (anDoer/PoseTrack21, trackeval/datasets/posetrack.py). They
differ in three rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.posetrack.annotations import Annotations, People
from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.skeleton import JOINT_SLOTS, JOINTS
from pipeline.evaluation.metrics.polygons import strictly_inside

Protocol = Literal["poseval", "posetrack21"]


@dataclass(frozen=True, slots=True)
class VideoPair:
    """Ground truth of one video and the predictions for it."""

    name: str
    truth: Annotations
    predicted: Annotations


@dataclass(frozen=True, slots=True)
class Side:
    """The N people of one side, ground truth or predictions, sorted by video, frame and file."""

    frame: NDArray[np.int64]
    """Pooled frame, ``(N,)``."""
    joints: NDArray[np.float64]
    """xy in pixels in the order of ``JOINTS``, ``(N, 15, 2)``."""
    exists: NDArray[np.bool_]
    """Joints that are scored, ``(N, 15)``."""
    scores: NDArray[np.float64]
    """Scores of the joints, ``(N, 15)``."""
    visible: NDArray[np.bool_]
    """Joints whose visibility flag is positive, ``(N, 15)``."""
    head: NDArray[np.float64]
    """Head size in pixels, ``(N,)``: 0.6 times the diagonal of the head box, NaN without a box."""
    track: NDArray[np.int64]
    """Track id within the video, ``(N,)``; -1 if missing."""


@dataclass(frozen=True, slots=True)
class Pool:
    """All videos of a data set: F frames in the order video, entry."""

    protocol: Protocol
    names: tuple[str, ...]
    """Video names."""
    video: NDArray[np.int64]
    """Video of every frame, ``(F,)``."""
    entry: NDArray[np.int64]
    """Position of every frame in its file, ``(F,)``."""
    used: NDArray[np.bool_]
    """Frames that are scored, ``(F,)``."""
    truth: Side
    predicted: Side


def read_pairs(truth: Path, predicted: Path) -> list[VideoPair]:
    """Read every ground-truth file of a folder and the prediction file of the same name.

    Prediction files without ground truth are ignored, as in poseval.

    Args:
        truth: Folder of ground-truth files, one per video.
        predicted: Folder of prediction files.

    Returns:
        Pairs sorted by file name, so that the order of equal scores is the same everywhere.

    Raises:
        ValueError: If a folder or a prediction file is missing, or a file is malformed.
    """
    for folder, what in ((truth, "ground-truth"), (predicted, "prediction")):
        if not folder.is_dir():
            raise ValueError(
                f"{folder}: expected a folder of {what} files, found none; check the path"
            )
    files = sorted(truth.glob("*.json"))
    if not files:
        raise ValueError(
            f"{truth}: expected *.json files, one per video, found none; check the path"
        )
    missing = [file.name for file in files if not (predicted / file.name).is_file()]
    if missing:
        raise ValueError(
            f"{predicted}: expected a file for each of the {len(files)} ground-truth files, "
            f"{len(missing)} are missing, first {missing[0]}; predict every video, "
            "with empty annotations if nobody is found"
        )
    return [
        VideoPair(file.stem, read_annotations(file), read_predictions(predicted / file.name))
        for file in files
    ]


def pool(pairs: Sequence[VideoPair], protocol: Protocol) -> Pool:
    """Pair frames by position, select the frames and joints that are scored, and pool them.

    Args:
        pairs: The videos. Their order breaks ties between equal scores.
        protocol: ``poseval``: frames with an annotation, joints unless x = y = v = 0.
            ``posetrack21``: frames with ``is_labeled``, joints with x > 0 and y > 0.

    Raises:
        ValueError: If predictions do not have one entry per frame in the ground truth's order,
            an ignore region has fewer than 3 corners, or posetrack21 finds no ``is_labeled``.
    """
    for pair in pairs:
        _refuse_other_frames(pair, protocol)
    lengths = np.array([len(pair.truth.file_names) for pair in pairs], dtype=np.int64)
    first = np.cumsum(lengths) - lengths
    video = np.repeat(np.arange(len(pairs)), lengths)
    chosen = [p.truth.has_people if protocol == "poseval" else p.truth.labeled for p in pairs]
    used = np.concatenate([np.zeros(0, dtype=bool), *chosen])
    return Pool(
        protocol=protocol,
        names=tuple(pair.name for pair in pairs),
        video=video,
        entry=np.arange(len(video)) - first[video],
        used=used,
        truth=_side(pairs, [pair.truth.people for pair in pairs], first, used, protocol),
        predicted=_side(pairs, [pair.predicted.people for pair in pairs], first, used, protocol),
    )


def _refuse_other_frames(pair: VideoPair, protocol: Protocol) -> None:
    truth, predicted = pair.truth, pair.predicted
    if len(truth.file_names) != len(predicted.file_names):
        raise ValueError(
            f"{predicted.path}: expected {len(truth.file_names)} frames, as {truth.path} has, got "
            f"{len(predicted.file_names)}; frames are paired by position, so write one entry for "
            "every frame, labeled or not"
        )
    both_ids = "posetrack17" not in (truth.format, predicted.format)
    if both_ids and _other_order(truth.image_ids, predicted.image_ids, protocol == "posetrack21"):
        entry = int((truth.image_ids != predicted.image_ids).argmax())
        raise ValueError(
            f"{predicted.path}: images[{entry}].id: expected {truth.image_ids[entry]}, as in "
            f"{truth.path}, got {predicted.image_ids[entry]}; frames are paired by position, so "
            "write them in the ground truth's order"
        )
    if protocol == "posetrack21" and not truth.has_labeled_flags:
        raise ValueError(
            f"{truth.path}: expected `is_labeled` on every image, as the protocol posetrack21 "
            "needs, found images without it; use the protocol poseval or add the key"
        )
    corners = np.diff(truth.regions.start)
    if (corners < 3).any():
        polygon = int((corners < 3).argmax())
        raise ValueError(
            f"{truth.path}: ignore region of frame {truth.regions.frame[polygon]}: expected at "
            f"least 3 corners, got {corners[polygon]}; remove that region"
        )


def _other_order(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], every_difference: bool
) -> bool:
    """Return whether the order of the frames differs; poseval pairs such frames silently."""
    if np.array_equal(truth, predicted):
        return False
    return every_difference or np.array_equal(np.sort(truth), np.sort(predicted))


def _side(
    pairs: Sequence[VideoPair],
    people: Sequence[People],
    first: NDArray[np.int64],
    used: NDArray[np.bool_],
    protocol: Protocol,
) -> Side:
    frame = np.concatenate(
        [np.zeros(0, np.int64), *(p.frame + start for p, start in zip(people, first, strict=True))]
    )
    kept = used[frame]
    frame = frame[kept]
    keypoints = _joined([p.keypoints for p in people], (len(JOINTS) + 2, 3))[kept][:, JOINT_SLOTS]
    if protocol == "poseval":
        exists = _joined([p.present for p in people], (len(JOINTS) + 2,))[kept][:, JOINT_SLOTS] > 0
    else:
        exists = (keypoints[:, :, 0] > 0) & (keypoints[:, :, 1] > 0)
    heads = _joined([p.heads_xywh for p in people], (4,))[kept]
    tracks = np.concatenate([np.zeros(0, np.int64), *(p.track_id for p in people)])
    side = Side(
        frame=frame,
        joints=keypoints[:, :, :2],
        exists=exists,
        scores=_joined([p.scores for p in people], (len(JOINTS) + 2,))[kept][:, JOINT_SLOTS],
        visible=keypoints[:, :, 2] > 0,
        # poseval, eval_helpers.py, getHeadSize.
        head=0.6 * np.sqrt(heads[:, 2] ** 2 + heads[:, 3] ** 2),
        track=tracks[kept],
    )
    _drop_ignored(side, pairs, first)
    return side


def _joined(parts: Sequence[NDArray[np.generic]], shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros((0, *shape)), *parts])


def _drop_ignored(side: Side, pairs: Sequence[VideoPair], first: NDArray[np.int64]) -> None:
    """Unmark joints inside ignore regions, in place.

    poseval also drops people without remaining joints. Such people are neither matched nor counted
    in the following steps, so keeping them has no effect.
    """
    regions = [pair.truth.regions for pair in pairs]
    frames = np.concatenate(
        [np.zeros(0, np.int64), *(r.frame + start for r, start in zip(regions, first, strict=True))]
    )
    corners = _joined([r.points for r in regions], (2,))
    counts = np.concatenate([np.zeros(0, np.int64), *(np.diff(r.start) for r in regions)])
    start = np.concatenate([[0], np.cumsum(counts)])
    person, joint = np.nonzero(side.exists & np.isin(side.frame, frames)[:, None])
    ignored = strictly_inside(
        side.joints[person, joint], side.frame[person], corners, start, frames
    )
    side.exists[person[ignored], joint[ignored]] = False
