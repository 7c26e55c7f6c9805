"""Decode the heatmaps of a video's clips to people with joints in image pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.geometry.affine import inverse, transform
from pipeline.core.heatmap import Decoding, decode
from pipeline.prediction.posetrack_predictions import Poses

ScoreRule = Literal["product", "joint"]


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """Params of the decoding from heatmaps to joints; every value changes results."""

    decoding: Decoding
    blur: float
    """Standard deviation of DARK's Gaussian, cells."""
    score: ScoreRule
    """``product``: the score of a joint is the maximum of its heatmap times the score of the box;
    ``joint``: the maximum alone."""
    flip: bool
    """Whether heatmaps are averaged with those of the mirrored crop, variant 1."""
    batch: int
    """Clips per forward pass."""


@dataclass(frozen=True, slots=True)
class VideoClips:
    """The clips of a video whose key frames are in the ground truth, in the order of the latter."""

    annotation: Path
    """Ground truth file."""
    clips: pd.DataFrame
    """Rows of ``schemas.CLIPS`` of variant 0."""
    entries: NDArray[np.int64]
    """Index of every clip's key frame in the file's list of images."""


def decode_poses(heatmaps: NDArray[np.float32], video: VideoClips, config: DecodeConfig) -> Poses:
    """Decode the heatmaps of a video.

    Args:
        heatmaps: Heatmaps of every clip, ``(N, K, h, w)``.
        video: The clips.
        config: Params of the decoding.

    Returns:
        People in image pixels. A person's score is the mean of the scores of the joints.
    """
    clips = video.clips
    if not len(clips):
        return no_poses()
    in_crop, peaks = decode(heatmaps, config.decoding, config.blur)
    keypoints = np.stack(
        [
            transform(points, inverse(np.reshape(np.asarray(matrix), (2, 3))))
            for points, matrix in zip(in_crop, clips["to_crop"], strict=True)
        ]
    )
    boxes = clips["score"].to_numpy(dtype=np.float64)
    scores = peaks * boxes[:, None] if config.score == "product" else peaks
    return Poses(
        frame=video.entries,
        keypoints=keypoints,
        scores=scores,
        person_scores=scores.mean(axis=1),
        boxes_xywh=clips[["box_x", "box_y", "box_w", "box_h"]].to_numpy(dtype=np.float64),
        track_ids=clips["track_id"].to_numpy(dtype=np.int64),
    )


def no_poses() -> Poses:
    """Return the poses of a video without people."""
    return Poses(
        frame=np.zeros(0, np.int64),
        keypoints=np.zeros((0, 15, 2)),
        scores=np.zeros((0, 15)),
        person_scores=np.zeros(0),
        boxes_xywh=np.zeros((0, 4)),
        track_ids=np.zeros(0, np.int64),
    )
