"""Training runs as units of work: networks, their caches, and the keys of the results.

Planning imports no torch, so the stage starts quickly if every run is finished.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.core.caches.clip_table import ClipTable, clips_file, read_clips, table_of
from pipeline.core.networks.devices import compute_dtype_name, device_type
from pipeline.core.schedule import Training
from pipeline.core.splits import video_share
from pipeline.core.store.reader import Store
from pipeline.core.tables.parquet import digest_rows
from pipeline.core.tables.schemas import CLIPS
from pipeline.core.units.compute import Task
from pipeline.core.units.key import KeyParts, Unit, make_unit, modules_digest, stage_pins
from pipeline.core.units.options import RunOptions
from pipeline.core.units.run_time import Train
from pipeline.training.target_params import Target

if TYPE_CHECKING:
    from torch import nn

_BYTES = 1_000_000
"""Estimated size of a result. Heads and backbones are small in comparison with caches."""


class BuildObjective(Protocol):
    """Builds a module that maps a batch to the terms of the loss; its ``head`` is the network."""

    def __call__(self, *, shapes: Mapping[str, tuple[int, ...]]) -> "nn.Module":
        """Build it for caches whose rows have these shapes, by kind."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A network, the caches that it is trained on, and the settings of the training."""

    stage: str
    modules: Sequence[str]
    """Modules whose code the key digests."""
    name: str
    """Name of the unit."""
    section: str
    """Section of params.yaml with the schedule, for messages."""
    schedule: Training
    params: Mapping[str, object]
    """Params that change the result."""
    data: Path
    """Folder of all outs."""
    crops: str
    """Input of the clips: ``hrnet`` or ``vit``."""
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    caches: Mapping[str, Path]
    """Folder of every store that the network reads, by kind."""
    frames: int
    """Frames T per clip."""
    build: BuildObjective
    initial_weights: Mapping[str, str]
    """sha256 of the initial weights, by role."""
    is_trained_on: Callable[[str], bool]
    """Returns whether a video of the train split is used."""
    weights_file: str
    """File of the weights after the last step, float32."""
    history_file: str | None
    """File of the losses of all steps; ``None``: it is not written."""
    settings: Train
    target: Target

    @property
    def clips_file(self) -> Path:
        """The clip table."""
        return clips_file(self.data, self.crops, "train")

    def split_clips(self) -> tuple[ClipTable, ClipTable]:
        """Return the clips to train on and those of the held-out videos.

        Raises:
            ValueError: If ``train.holdout`` leaves either part without clips.
        """
        source, share = self.clips_file, self.settings.holdout
        table = table_of(read_clips(source), source).of_videos(self.is_trained_on)
        train = table.of_videos(lambda video: video_share(video) >= share)
        held_out = table.of_videos(lambda video: video_share(video) < share)
        if share and not (len(train) and len(held_out)):
            raise ValueError(
                f"train.holdout {share}: expected clips on both sides, got {len(train)} to train "
                f"on and {len(held_out)} held out; change the share or set it to 0"
            )
        return train, held_out

    def unit(self) -> Unit:
        """Return the unit of the run."""
        device = device_type(self.settings.device)
        stores = {kind: Store(folder, kind) for kind, folder in self.caches.items()}
        processes = max(process_count(), self.settings.processes)
        parts = KeyParts(
            stage=self.stage,
            params={
                **self.params,
                "name": self.name,
                "frames": self.frames,
                "crop_size": list(self.crop_size),
                "target": self.target.key_params(),
                "train": self.settings.key_params() | {"processes": processes},
                "videos": sorted(set(self.split_clips()[0].videos)),
            },
            modules=modules_digest(self.modules),
            pins=stage_pins(self.modules),
            weights=self.initial_weights,
            device=device,
            dtype=compute_dtype_name(device),
            batch=self.schedule.batch,
            clips=digest_rows(read_clips(self.clips_file), CLIPS),
            frames={},
            inputs={
                f"{kind}/{name}": digest
                for kind, store in stores.items()
                for name, digest in store.digests.items()
            },
        )
        return make_unit(self.name, parts, _BYTES, place="")


@dataclass(frozen=True, slots=True)
class MakeTrainingTask:
    """Makes the task that computes the runs."""

    runs: Sequence[TrainingRun]

    def __call__(self) -> Task:
        """Make the task."""
        from pipeline.training.task import TrainingTask  # noqa: PLC0415  imports torch

        return TrainingTask(self.runs)


def process_count() -> int:
    """Return the number of processes that torchrun started, or 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def training_options(settings: Train) -> RunOptions:
    """Return the options of training: it runs in this process, and an error ends the stage."""
    return RunOptions(engine="direct", threads=settings.threads)
