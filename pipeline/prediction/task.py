"""From the caches of a video to its people: heads over clips, joints in the image's pixels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.core.caches.reader import Caches
from pipeline.core.geometry.affine import inverse, transform
from pipeline.core.heatmap import Decoding, decode, flip_back_heatmaps
from pipeline.core.networks.weights import read_weights
from pipeline.core.posetrack.reader import read_annotations
from pipeline.prediction.posetrack_predictions import Poses, write_predictions

ScoreRule = Literal["product", "joint"]
BuildHead = Callable[[Mapping[str, Tensor], str, Mapping[str, tuple[int, ...]]], nn.Module]
"""Builds, from weights, their name and the caches' row shapes by kind, a network that maps a batch
of caches to heatmaps ``(B, K, h, w)``; picklable."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How heatmaps are read; every value changes results."""

    decoding: Decoding
    blur: float
    """Standard deviation of DARK's Gaussian, cells."""
    score: ScoreRule
    """``product``: a joint's score is the maximum of its heatmap times the box's score."""
    flip: bool
    """Whether heatmaps are averaged with those of the mirrored crop, variant 1."""
    batch: int
    """Clips per forward pass."""


@dataclass(frozen=True, slots=True)
class VideoClips:
    """The clips of a video whose key frames the ground truth names, in its order."""

    annotation: Path
    """Ground truth file."""
    clips: pd.DataFrame
    """Rows of ``schemas.CLIPS`` of variant 0."""
    entries: NDArray[np.int64]
    """Entry of every clip's key frame in the file's list of images."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What predicting a split takes."""

    folders: Mapping[str, Path]
    """Folder of every store that the head reads, by kind."""
    frames: int
    """Frames T per clip that the head reads."""
    weights: Path | None
    """Weights of the head; ``None`` for the backbone itself, which has none."""
    build_head: BuildHead
    videos: Mapping[str, VideoClips]
    reading: Reading
    device: str
    """``cpu`` or ``cuda``."""


@dataclass(frozen=True, slots=True)
class PredictSplits:
    """What predicting several splits takes; called in a worker, it makes the task."""

    predictions: Mapping[str, Prediction]
    """What predicting a split takes, by its name."""

    def __call__(self) -> "PredictTask":
        """Make the task of a worker, for units that are called ``<split>/<video>``."""
        return PredictTask(self.predictions)


class PredictTask:
    """Predicts videos of several splits; keeps the head of each from one video to the next.

    Args:
        predictions: What to predict, by split.
    """

    def __init__(self, predictions: Mapping[str, Prediction]) -> None:
        self._splits = {split: SplitTask(each) for split, each in predictions.items()}

    def __call__(self, name: str, folder: Path) -> None:
        """Write the predictions for the unit ``<split>/<video>`` to ``<video>.json``."""
        split, _, video = name.partition("/")
        self._splits[split](video, folder)


class SplitTask:
    """Predicts videos of one split; keeps the head from one to the next.

    Args:
        prediction: What to predict.
    """

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self._caches = Caches(prediction.folders, prediction.frames)
        self._head: nn.Module | None = None

    def __call__(self, name: str, folder: Path) -> None:
        """Write the predictions for the video ``name`` to ``<name>.json`` in ``folder``."""
        video = self._prediction.videos[name]
        truth = read_annotations(video.annotation)
        poses = poses_of(self.heatmaps(name), video, self._prediction.reading)
        write_predictions(folder / f"{name}.json", truth, poses)

    def heatmaps(self, video: str) -> NDArray[np.float32]:
        """Return the heatmaps of a video's clips, ``(N, K, h, w)``.

        Raises:
            ValueError: If the flip test finds no mirrored clips.
        """
        rows = self._prediction.videos[video].clips["clip"].to_numpy()
        if not len(rows):
            return np.zeros((0, 1, 1, 1), np.float32)
        plain = self._variant(f"{video}/v0", rows)
        if not self._prediction.reading.flip:
            return plain
        mirrored = flip_back_heatmaps(self._variant(f"{video}/v1", rows))
        return np.asarray((plain + mirrored) / 2, dtype=np.float32)

    def _variant(self, unit: str, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        batch = self._prediction.reading.batch
        buffers = self._caches.buffers(batch)
        head = self._loaded_head()
        parts = []
        for first in range(0, len(rows), batch):
            part = rows[first : first + batch]
            self._caches.read([unit] * len(part), part, buffers, check=True)
            inputs = {
                kind: self._caches.cut(kind, tensor[: len(part)])
                .to(self._prediction.device)
                .float()
                for kind, tensor in buffers.items()
            }
            exact = torch.backends.cudnn.flags(
                deterministic=True, benchmark=False, allow_tf32=False
            )
            with torch.inference_mode(), exact:
                parts.append(head(inputs).float().cpu().numpy())
        return np.concatenate(parts)

    def _loaded_head(self) -> nn.Module:
        if self._head is None:
            path = self._prediction.weights
            weights = read_weights(path) if path is not None else {}
            shapes = {kind: self._caches.row_shape(kind) for kind in self._caches.kinds}
            head = self._prediction.build_head(weights, str(path), shapes)
            self._head = head.to(self._prediction.device).eval()
        return self._head


def poses_of(heatmaps: NDArray[np.float32], video: VideoClips, reading: Reading) -> Poses:
    """Return the people that heatmaps show.

    Args:
        heatmaps: Of every clip, ``(N, K, h, w)``.
        video: The clips.
        reading: How heatmaps are read.

    Returns:
        People in image pixels. A person's score is the mean of its joints' scores.
    """
    clips = video.clips
    if not len(clips):
        return nobody()
    in_crop, peaks = decode(heatmaps, reading.decoding, reading.blur)
    keypoints = np.stack(
        [
            transform(points, inverse(np.reshape(np.asarray(matrix), (2, 3))))
            for points, matrix in zip(in_crop, clips["to_crop"], strict=True)
        ]
    )
    boxes = clips["score"].to_numpy(dtype=np.float64)
    scores = peaks * boxes[:, None] if reading.score == "product" else peaks
    return Poses(
        frame=video.entries,
        keypoints=keypoints,
        scores=scores,
        person_scores=scores.mean(axis=1),
        boxes_xywh=clips[["box_x", "box_y", "box_w", "box_h"]].to_numpy(dtype=np.float64),
        track_ids=clips["track_id"].to_numpy(dtype=np.int64),
    )


def nobody() -> Poses:
    """Return the poses of a video without people."""
    return Poses(
        frame=np.zeros(0, np.int64),
        keypoints=np.zeros((0, 15, 2)),
        scores=np.zeros((0, 15)),
        person_scores=np.zeros(0),
        boxes_xywh=np.zeros((0, 4)),
        track_ids=np.zeros(0, np.int64),
    )
