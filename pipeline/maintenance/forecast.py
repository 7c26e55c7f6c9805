"""What a run will take: clips, bytes of every store, seconds of every stage."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.core.store.shards import CRC_BYTES
from pipeline.core.system_params import NO_WEIGHTS, WEIGHTS, section_of, training_section
from pipeline.maintenance.expected_clips import SplitCount

SPLITS = {"train": "train", "val": "val", "val_gt": "val"}
"""Split of the data set behind every split of the stages. Detected boxes are taken to be as many
as people."""
INPUT_OF = {"heatmaps": "hrnet", "features": "hrnet", "flow": "hrnet", "tokens": "vit"}
Values = Mapping[str, Any]
"""Content of a params file."""


@dataclass(frozen=True, slots=True)
class Line:
    """One stage, one split of it."""

    name: str
    clips: int
    """Clips with all their variants; of a training run those of one epoch."""
    bytes: int
    seconds: float | None
    """Nothing where no speed was measured."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds that this machine took for one of everything, with one worker."""

    forward: Mapping[str, float]
    """Forward pass of a network over one frame, pair of frames or clip, by its name."""
    training: float
    """Forward and backward pass of HRNet over one frame."""
    heads: Mapping[str, float]
    """Forward pass of the head of every trained system over one clip."""
    head_training: Mapping[str, float]
    """Forward and backward pass of the same heads."""
    decode: float
    """Reading one frame's file."""
    warp: float
    """Cutting one crop out of it, of ``hrnet``'s size."""
    render: float
    """One rendered video."""


def variants(values: Values, split: str) -> int:
    """Return how many variants of its clips a split has."""
    crop = values["crop"]
    return int(crop["variants"] if split == "train" else 1 + crop["mirror"])


def forecast(
    values: Values,
    counts: Mapping[str, SplitCount],
    shapes: Mapping[str, tuple[int, ...]],
    speeds: Speeds,
) -> list[Line]:
    """Return what every stage will take.

    Args:
        values: Content of the params file.
        counts: Size of ``train`` and ``val``.
        shapes: Shape of a clip's row in every store, ``crops/hrnet`` and ``crops/vit`` included.
        speeds: From the calibration.
    """
    workers = int(values["extract"]["workers"])
    lines = [_rendering(values, speeds.render / workers)]
    for split, own in SPLITS.items():
        lines.append(_detection(values, split, counts[own], speeds, workers))
    for split, own in SPLITS.items():
        clips = round(counts[own].people) * variants(values, split)
        lines += [
            _store(f"crop@{name}-{split}", clips, shapes[f"crops/{name}"], 1, per_frame)
            for name, per_frame in _cutting(counts[own], shapes, speeds, workers).items()
        ]
        for kind, per_clip in _extraction(values, shapes, speeds, workers).items():
            here = clips if kind != "features" or values["features"]["enabled"] else 0
            lines.append(_store(f"{kind}@{split}", here, shapes[kind], 2, per_clip))
    train = round(counts["train"].people)
    lines += [*_trainings(values, train, speeds), *_predictions(values, counts["val"], speeds)]
    return lines


def _rendering(values: Values, per_video: float) -> Line:
    videos = sum(values["render"]["videos"].values())
    return Line("render", 0, 0, videos * per_video)


def _detection(values: Values, split: str, count: SplitCount, speeds: Speeds, workers: int) -> Line:
    kind = values["detect"]["kind"]
    if split != "val" or kind in {"ground_truth", "file"}:
        return Line(f"detect@{split}", round(count.people), 0, 0.0)
    speed = speeds.forward.get("detector") if kind == "torchvision" else None
    seconds = None if speed is None else count.labeled * (speed + speeds.decode) / workers
    return Line("detect@val", round(count.people), 0, seconds)


def _cutting(
    count: SplitCount, shapes: Mapping[str, tuple[int, ...]], speeds: Speeds, workers: int
) -> dict[str, float]:
    """Return seconds per clip of either input: people of one frame share its decoding."""
    shared = count.people / max(count.labeled, 1)
    reference = float(np.prod(shapes["crops/hrnet"][1:3]))
    return {
        name: shape[0]
        * (speeds.decode / max(shared, 1) + speeds.warp * float(np.prod(shape[1:3])) / reference)
        / workers
        for name, shape in ((n, shapes[f"crops/{n}"]) for n in ("hrnet", "vit"))
    }


def _extraction(
    values: Values, shapes: Mapping[str, tuple[int, ...]], speeds: Speeds, workers: int
) -> dict[str, float]:
    """Return seconds per clip of every store that a network fills."""
    network = {"heatmaps": "hrnet", "flow": "raft", "tokens": "vit_backbone", "features": "hrnet"}
    wanted = {kind: name for kind, name in network.items() if kind in values}
    return {kind: shapes[kind][0] * speeds.forward[name] / workers for kind, name in wanted.items()}


def _store(
    name: str, clips: int, row_shape: tuple[int, ...], item_bytes: int, seconds: float
) -> Line:
    row = int(np.prod(row_shape, dtype=np.int64)) * item_bytes + CRC_BYTES
    return Line(name, clips, clips * row, clips * seconds)


def _trainings(values: Values, clips: int, speeds: Speeds) -> list[Line]:
    backbone = values["finetune_backbone"]
    rounds = 1 + backbone["folds"] if backbone["folds"] > 1 else 1
    per_clip = speeds.training * rounds
    lines = [_training("finetune_backbone", backbone, clips, per_clip)]
    for system, per_clip in speeds.head_training.items():
        given = values[section_of(system)][WEIGHTS] != NO_WEIGHTS
        schedule = values[training_section(values, system)]
        lines.append(_training(f"train@{system}", schedule, 0 if given else clips, per_clip))
    return lines


def _training(name: str, section: Values, clips: int, per_clip: float) -> Line:
    batch = section["batch"]
    steps = (section["steps"] or section["epochs"] * math.ceil(clips / batch)) if clips else 0
    return Line(name, clips, 0, steps * batch * per_clip)


def _predictions(values: Values, count: SplitCount, speeds: Speeds) -> list[Line]:
    workers = int(values["extract"]["workers"])
    twice = 2 if values["predict"]["flip"] else 1
    people = 2 * round(count.people)  # val and val_gt
    return [
        Line(f"predict@{system}", people, 0, people * twice * seconds / workers)
        for system, seconds in speeds.heads.items()
    ]
