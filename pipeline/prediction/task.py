"""Predict videos in a worker: run the head on the caches of their clips and decode."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.prediction.prediction import Prediction
from pipeline.prediction.videos import ClipReader, write_video


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
        self._reader = ClipReader(prediction)
        self._head: nn.Module | None = None

    def write(self, name: str, folder: Path) -> None:
        write_video(folder, name, self._prediction, self._heatmaps)

    def _heatmaps(self, unit: str, rows: NDArray[np.int32]) -> Tensor:
        if self._head is None:
            self._head = self._reader.load_head()
        heatmaps: Tensor = self._head(self._reader.read([unit] * len(rows), rows))
        return heatmaps
