"""A training run on cached tensors: from clips and stores to a trained network, in scratch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from pipeline.caches.clip_table import ClipTable, clips_file, read_clips, table_of
from pipeline.caches.reader import Caches
from pipeline.grid import grid_size
from pipeline.networks.devices import compute_dtype
from pipeline.schedule import Training
from pipeline.splits import video_share
from pipeline.tables.parquet import digest_rows
from pipeline.tables.schemas import CLIPS
from pipeline.training.dataset import ClipFeed, Goal, MappedSource, ResidentSource, Source
from pipeline.training.history import History
from pipeline.training.loop import Loss, Plan, train
from pipeline.training.processes import Place, wait_for_all
from pipeline.training.target_params import Target
from pipeline.units.key import KeyParts, modules_digest, stage_pins
from pipeline.units.run_time import Train
from pipeline.units.scratch import Scratch, find_scratch


class BuildNetwork(Protocol):
    """Builds a network, with whatever its loss needs."""

    def __call__(self, *, shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
        """Build it for caches whose rows have these shapes, by kind."""


@dataclass(frozen=True, slots=True)
class CacheRun:
    """What is trained on what."""

    section: str
    """Section of params.yaml, named like the stage."""
    name: str
    """What is trained, where a stage trains several things."""
    training: Training
    params: Mapping[str, object]
    """Params that change the result, for the run's key."""
    crops: str
    """Input that the clips are cut for: ``hrnet`` or ``vit``."""
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    folders: Mapping[str, Path]
    """Folder of every store that the network reads, by kind."""
    frames: int
    """Frames T per clip that it reads."""
    build: BuildNetwork
    loss: Loss
    """Its term ``heatmap`` is what held-out videos are judged by."""
    core: Callable[[nn.Module], nn.Module] = lambda network: network
    """The part of the network that is wanted in the end."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """sha256 of the weights that training starts from, by role."""
    videos: Callable[[str], bool] = lambda _: True
    """Which train videos are trained on."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The end of a run."""

    network: nn.Module
    history: History
    clips: int
    """Clips that were trained on."""
    folder: Path
    """The run's folder in scratch, with the weights that did best on the held-out videos."""


def train_from_caches(
    run: CacheRun, data: Path, settings: Train, target: Target, place: Place
) -> Trained:
    """Train a network on caches of the train split.

    Killed at any moment and called again, it goes on from its last checkpoint to the same bytes.

    Args:
        run: What is trained on what.
        data: Folder of all outs.
        settings: Section ``train``.
        target: Section ``target``.
        place: This process.

    Raises:
        ValueError: If params and caches do not fit together, there is no clip, or memory is short.
    """
    source = clips_file(data, run.crops, "train")
    clips = read_clips(source)
    caches = Caches(run.folders, run.frames)
    table = table_of(clips, source).of_videos(run.videos)
    table, held_out = _split(table, settings.holdout)
    parts = KeyParts(
        stage=run.section,
        params={
            **run.params,
            "name": run.name,
            "crop_size": list(run.crop_size),
            "target": target.key_params(),
            "train": settings.key_params() | {"processes": place.world},
            "videos": sorted(set(table.videos)),
        },
        modules=modules_digest(f"stages.{run.section}"),
        pins=stage_pins(f"stages.{run.section}"),
        weights=run.weights,
        device=place.device.type,
        dtype=str(compute_dtype(place.device)),
        batch=run.training.batch,
        clips=digest_rows(clips, CLIPS),
        frames={},
        inputs=caches.digests,
    )
    scratch = find_scratch(data)
    folder = scratch.unit_folder(run.section, parts.key)
    with _locked(scratch, folder, place):
        session = _Session(run, caches, settings, target, place, source)
        network, history = session.train(table, held_out, folder)
    return Trained(network, history, len(table), folder)


@contextmanager
def _locked(scratch: Scratch, folder: Path, place: Place) -> Iterator[None]:
    """Hold the run's lock in the first process; the others wait until it has it."""
    if place.rank:
        wait_for_all(place)
        yield
        return
    with scratch.lock(f"{folder.parent.name}-{folder.name}"):
        wait_for_all(place)
        yield


def _split(table: ClipTable, share: float) -> tuple[ClipTable, ClipTable]:
    """Return the clips to train on and those of the held-out videos."""
    train_on = table.of_videos(lambda video: video_share(video) >= share)
    held_out = table.of_videos(lambda video: video_share(video) < share)
    if share and not (len(train_on) and len(held_out)):
        raise ValueError(
            f"train.holdout {share}: expected clips on both sides, got {len(train_on)} to train on "
            f"and {len(held_out)} held out; change the share or set it to 0"
        )
    return train_on, held_out


@dataclass(frozen=True, slots=True)
class _Session:
    """Everything but the clips that a training run needs."""

    run: CacheRun
    caches: Caches
    settings: Train
    target: Target
    place: Place
    where: Path

    def train(
        self, table: ClipTable, held_out: ClipTable, folder: Path
    ) -> tuple[nn.Module, History]:
        run, settings = self.run, self.settings
        # Without clips there is no row shape either: the feed's message is the better one.
        feed = self._feed(table, settings.resident)
        torch.manual_seed(run.training.seed)
        network = run.build(shapes={kind: self.caches.row_shape(kind) for kind in run.folders})
        network.to(self.place.device)
        plan = Plan(
            training=run.training,
            section=run.section,
            folder=folder,
            checkpoint_every=settings.checkpoint_every,
            place=self.place,
            core=run.core,
            held_out=self._held_out(held_out) if len(held_out) else None,
        )
        return network, train(network, run.loss, feed, plan)

    def _feed(self, table: ClipTable, resident: str) -> ClipFeed:
        goal = Goal(
            self.target,
            grid_size(self.run.crop_size),
            self.target.sigma.of(self.run.crops),
        )
        device = self.place.device
        on_gpu = resident == "gpu" and device.type == "cuda"
        source: Source = (ResidentSource if on_gpu else MappedSource)(table, self.caches, device)
        training = self.run.training
        return ClipFeed(
            table, source, goal, batch=training.batch, seed=training.seed, where=self.where
        )

    def _held_out(self, table: ClipTable) -> Callable[[nn.Module], float]:
        feed = self._feed(table, "mmap")

        def loss(network: nn.Module) -> float:
            total = 0.0
            for batch in feed.in_order():
                total += float(self.run.loss(network, batch)["heatmap"]) * len(batch["target"])
            return total / len(table)

        return loss
