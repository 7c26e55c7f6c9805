"""Predict videos in a worker: run the head on the caches of their clips and decode."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.core.caches.reader import Caches
from pipeline.core.heatmap import flip_back_heatmaps
from pipeline.core.networks.devices import worker_device
from pipeline.core.networks.weights import read_weights
from pipeline.core.posetrack.reader import read_annotations
from pipeline.prediction.poses import decode_poses
from pipeline.prediction.posetrack_predictions import write_predictions
from pipeline.prediction.prediction import Prediction


class PredictTask:
    """Predicts videos of several splits.

    Args:
        predictions: Inputs by split.
    """

    def __init__(self, predictions: Mapping[str, Prediction]) -> None:
        self._splits = {split: _SplitTask(each) for split, each in predictions.items()}

    def __call__(self, name: str, folder: Path) -> None:
        """Write the predictions of the unit ``<split>/<video>`` to ``<video>.json``."""
        split, _, video = name.partition("/")
        self._splits[split].write(video, folder)


class _SplitTask:
    """Predicts videos of one split; the head is built once."""

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self._device = worker_device(prediction.device)
        self._caches = Caches(prediction.folders, prediction.frames)
        self._head: nn.Module | None = None

    def write(self, name: str, folder: Path) -> None:
        video = self._prediction.videos[name]
        truth = read_annotations(video.annotation)
        poses = decode_poses(self._heatmaps(name), video, self._prediction.decoding)
        write_predictions(folder / f"{name}.json", truth, poses)

    def _heatmaps(self, video: str) -> NDArray[np.float32]:
        """Return the heatmaps of a video's clips, ``(N, K, h, w)``."""
        rows = self._prediction.videos[video].clips["clip"].to_numpy()
        if not len(rows):
            return np.zeros((0, 1, 1, 1), np.float32)
        plain = self._heatmaps_of(f"{video}/v0", rows)
        if not self._prediction.decoding.flip:
            return plain
        mirrored = flip_back_heatmaps(self._heatmaps_of(f"{video}/v1", rows))
        return np.asarray((plain + mirrored) / 2, dtype=np.float32)

    def _heatmaps_of(self, unit: str, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the heatmaps of rows of one unit of the caches."""
        batch = self._prediction.decoding.batch
        buffers = self._caches.buffers(batch)
        head = self._loaded_head()
        parts = []
        for first in range(0, len(rows), batch):
            part = rows[first : first + batch]
            self._caches.read([unit] * len(part), part, buffers, check=True)
            inputs = {
                kind: self._caches.cut(kind, tensor[: len(part)]).to(self._device).float()
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
            self._head = head.to(self._device).eval()
        return self._head
