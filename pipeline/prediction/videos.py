"""Predict one video: read its clips, run a head batch by batch, decode, write."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.core.caches.reader import Caches
from pipeline.core.heatmap import flip_back_heatmaps
from pipeline.core.networks.devices import worker_device
from pipeline.core.networks.weights import read_weights
from pipeline.core.posetrack.reader import read_annotations
from pipeline.prediction.poses import decode_poses
from pipeline.prediction.posetrack_predictions import write_predictions
from pipeline.prediction.prediction import Prediction

RunBatch = Callable[[str, NDArray[np.int32]], Tensor]
"""Returns the heatmaps ``(B, K, h, w)`` of a unit of the caches at some rows."""


class ClipReader:
    """Reads the clips of a split as the input of a head.

    Args:
        prediction: The inputs of the head.
    """

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self._device = worker_device(prediction.device)
        self._caches = Caches(prediction.folders, prediction.frames)

    def read(self, units: Sequence[str], rows: NDArray[np.int32]) -> dict[str, Tensor]:
        """Return every cache that the head reads, ``(B, ...)`` by kind, on the device.

        Args:
            units: Unit of every clip.
            rows: Row of every clip in its unit.
        """
        buffers = self._caches.buffers(len(units))
        self._caches.read(units, rows, buffers, check=True)
        return {
            kind: self._caches.cut(kind, buffer).to(self._device).float()
            for kind, buffer in buffers.items()
        }

    def load_head(self) -> nn.Module:
        """Return the head with its weights, in evaluation mode, on the device."""
        path = self._prediction.weights
        weights = read_weights(path) if path is not None else {}
        shapes = {kind: self._caches.row_shape(kind) for kind in self._caches.kinds}
        head = self._prediction.build_head(weights, str(path), shapes)
        return head.to(self._device).eval()


def write_video(folder: Path, name: str, prediction: Prediction, run: RunBatch) -> None:
    """Write the predictions of a video to ``<name>.json``.

    Args:
        folder: The folder, which exists.
        name: The video.
        prediction: The inputs of the head on the split.
        run: Runs the head on a batch.
    """
    video = prediction.videos[name]
    truth = read_annotations(video.annotation)
    poses = decode_poses(_heatmaps(name, prediction, run), video, prediction.decoding)
    write_predictions(folder / f"{name}.json", truth, poses)


def _heatmaps(video: str, prediction: Prediction, run: RunBatch) -> NDArray[np.float32]:
    """Return the heatmaps of a video's clips, ``(N, K, h, w)``."""
    rows = prediction.videos[video].clips["clip"].to_numpy()
    if not len(rows):
        return np.zeros((0, 1, 1, 1), np.float32)
    batch = prediction.decoding.batch
    plain = _heatmaps_of(f"{video}/v0", rows, batch, run)
    if not prediction.decoding.flip:
        return plain
    mirrored = flip_back_heatmaps(_heatmaps_of(f"{video}/v1", rows, batch, run))
    return np.asarray((plain + mirrored) / 2, dtype=np.float32)


def _heatmaps_of(
    unit: str, rows: NDArray[np.int32], batch: int, run: RunBatch
) -> NDArray[np.float32]:
    """Return the heatmaps of rows of one unit of the caches."""
    exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
    with torch.inference_mode(), exact:
        parts = [
            run(unit, rows[first : first + batch]).float().cpu().numpy()
            for first in range(0, len(rows), batch)
        ]
    return np.concatenate(parts)
