"""Inputs, head and decoding of the stage predict for every split. Needs no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.units.compute import Task
from pipeline.prediction.poses import DecodeConfig, VideoClips

if TYPE_CHECKING:
    from torch import Tensor, nn

BuildHead = Callable[[Mapping[str, "Tensor"], str, Mapping[str, tuple[int, ...]]], "nn.Module"]
"""Builds a network that maps a batch of caches to heatmaps ``(B, K, h, w)``. Arguments: weights,
their name, and the row shapes of the caches by kind. It is picklable."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The inputs of a head on one split."""

    folders: Mapping[str, Path]
    """Folder of every store that the head reads, by kind."""
    frames: int
    """Frames T per clip."""
    weights: Path | None
    """Weights of the head; ``None`` for a system without parameters."""
    build_head: BuildHead
    videos: Mapping[str, VideoClips]
    decoding: DecodeConfig
    device: str
    """``cpu`` or ``cuda``."""


@dataclass(frozen=True, slots=True)
class MakePredictTask:
    """Makes the task of a worker."""

    predictions: Mapping[str, Prediction]
    """Inputs by split."""

    def __call__(self) -> Task:
        """Make the task; its units are called ``<split>/<video>``."""
        from pipeline.prediction.task import PredictTask  # noqa: PLC0415  imports torch

        return PredictTask(self.predictions)
