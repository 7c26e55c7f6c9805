"""A head's training run, from the caches of the train split to data/runs/<system>."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.caches import Caches
from pipeline.clip_table import NAME as CLIP_TABLE
from pipeline.clip_table import ClipTable, read_clips, table_of
from pipeline.dataset import ClipFeed, Goal, MappedSource, ResidentSource, Source
from pipeline.devices import compute_dtype, pick_device
from pipeline.engines import limit_threads
from pipeline.heatmap import STRIDE
from pipeline.history import History
from pipeline.network_params import System
from pipeline.params import read_section
from pipeline.parent import DvcParent
from pipeline.processes import (
    Place,
    join_processes,
    process_count,
    start_processes,
    wait_for_all,
)
from pipeline.run_time import Train
from pipeline.schedule import Training
from pipeline.schemas import CLIPS
from pipeline.scratch import Scratch, find_scratch
from pipeline.tables import digest_rows
from pipeline.targets import Target
from pipeline.training import BEST, Loss, Plan, train
from pipeline.units import modules_digest, stage_pins, unit_key
from pipeline.video_share import share_of
from pipeline.weights import read_weights, write_weights

WEIGHTS = "weights.safetensors"
HISTORY = "history.csv"
FINISHED = "finished"
"""File that marks a run's folder in scratch as published: its checkpoint may go."""


@dataclass(frozen=True, slots=True)
class HeadRun:
    """What is trained on what."""

    system: System
    section: str
    """Section of params.yaml, named like the stage."""
    training: Training
    weights: str
    """Folder below data/weights whose head is published as it is; "" = train."""
    params: Mapping[str, object]
    """Params that change the result, for the run's key."""
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    build: Callable[[Mapping[str, tuple[int, ...]]], nn.Module]
    """Builds head and loss as one network, from the row shapes of the caches by kind."""
    loss: Loss
    head: Callable[[nn.Module], nn.Module]
    """The part of the network that is published."""
    load_weights: Callable[[nn.Module, Mapping[str, Tensor], str], None]
    """Copies weights into a network, strictly, and names their source in errors."""


def run_head(run: HeadRun, data: Path, params: Path) -> str:
    """Train a head, or publish the weights that ``weights`` names.

    Killed at any moment and called again, it goes on from its last checkpoint and ends in the
    same bytes.

    Args:
        run: What is trained on what.
        data: Folder of all outs.
        params: The params file, for the sections ``train`` and ``target``.

    Returns:
        The line that the stage ends with.

    Raises:
        ValueError: If params, caches or weights do not fit together, or memory is short.
    """
    if run.weights:
        return _publish_given(run, data)
    if not (run.training.epochs or run.training.steps):
        raise ValueError(
            f"{run.section}: expected epochs or steps above 0, or the name of trained weights"
        )
    settings = read_section(params, "train", Train)
    if settings.processes > 1 and process_count() == 1:
        start_processes(settings.processes, f"stages.{run.section}")
    target = read_section(params, "target", Target)
    parent = DvcParent()
    limit_threads(settings.threads)
    crops = data / "crops" / run.system.crops / "train"
    clips = read_clips(crops)
    caches = Caches({kind: data / kind / "train" for kind in run.system.kinds}, run.system.frames)
    table, held_out = _split(table_of(clips, crops / CLIP_TABLE), settings.holdout)
    key = unit_key(
        stage=run.section,
        params={
            **run.params,
            "system": run.system.name,
            "target": target.key_params(),
            "train": settings.key_params() | {"processes": process_count()},
        },
        modules=modules_digest(f"stages.{run.section}"),
        pins=stage_pins(f"stages.{run.section}"),
        weights={},
        device=pick_device(settings.device).type,
        dtype=str(compute_dtype(pick_device(settings.device))),
        batch=run.training.batch,
        clips=digest_rows(clips, CLIPS),
        frames={},
        inputs=caches.digests,
    )
    out = data / "runs" / run.system.name
    scratch = find_scratch(out)
    scratch.refuse_copies(out)
    folder = scratch.unit_folder(run.section, key)
    with join_processes(settings.device) as place, _locked(scratch, folder, place):
        feeds = _Feeds(run, caches, settings, target, place, crops)
        network, history = feeds.train(table, held_out, folder)
        if place.rank == 0:
            results = {WEIGHTS: _float32(run.head(network))}
            if len(held_out):
                network.load_state_dict(read_weights(folder / BEST))
                results[BEST] = _float32(run.head(network))
            _publish(out, folder, results, history, parent)
    return f"{run.section}: {len(history)} steps on {len(table)} clips, wrote {out}"


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
    train_on = table.of_videos(lambda video: share_of(video) >= share)
    held_out = table.of_videos(lambda video: share_of(video) < share)
    if share and not (len(train_on) and len(held_out)):
        raise ValueError(
            f"train.holdout {share}: expected clips on both sides, got {len(train_on)} to train on "
            f"and {len(held_out)} held out; change the share or set it to 0"
        )
    return train_on, held_out


@dataclass(frozen=True, slots=True)
class _Feeds:
    """Everything but the clips that a training run needs."""

    run: HeadRun
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
        network = run.build({kind: self.caches.row_shape(kind) for kind in run.system.kinds})
        network.to(self.place.device)
        plan = Plan(
            training=run.training,
            section=run.section,
            folder=folder,
            checkpoint_every=settings.checkpoint_every,
            place=self.place,
            held_out=self._held_out(held_out) if len(held_out) else None,
        )
        return network, train(network, run.loss, feed, plan)

    def _feed(self, table: ClipTable, resident: str) -> ClipFeed:
        height, width = self.run.crop_size
        goal = Goal(
            self.target,
            (height // STRIDE, width // STRIDE),
            self.target.sigma.of(self.run.system.crops),
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


def _publish_given(run: HeadRun, data: Path) -> str:
    """Publish weights that somebody trained before, once they fit this head."""
    source = data / "weights" / run.weights / f"{run.system.name}.safetensors"
    shapes = {
        kind: Caches({kind: data / kind / "train"}, run.system.frames).row_shape(kind)
        for kind in run.system.kinds
    }
    head = run.head(run.build(shapes))
    run.load_weights(head, read_weights(source), str(source))
    out = data / "runs" / run.system.name
    scratch = find_scratch(out)
    scratch.refuse_copies(out)
    folder = scratch.folder / "publish" / scratch.lock_of_out(out)
    with scratch.lock(scratch.lock_of_out(out)):
        _publish(out, folder, {WEIGHTS: _float32(head)}, History(), DvcParent())
        shutil.rmtree(folder)
    return f"{run.section}: published {source} in {out}"


def _publish(
    out: Path,
    folder: Path,
    results: Mapping[str, Mapping[str, Tensor]],
    history: History,
    parent: DvcParent,
) -> None:
    """Replace the out by the results, put together in scratch first."""
    result = folder / "result"
    if result.exists():
        shutil.rmtree(result)
    result.mkdir(parents=True)
    for name, tensors in results.items():
        write_weights(result / name, tensors)
    history.write(result / HISTORY)
    parent.refuse_orphan()
    if out.exists():
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    result.rename(out)
    (folder / FINISHED).touch()


def _float32(head: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in head.state_dict().items()
    }
