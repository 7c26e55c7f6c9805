"""Estimate the poses of all people in a video.

Writes one folder, whole or not at all: predictions.parquet, posetrack.json, coco.json, overlay.mp4
and meta.json. The video is read from its beginning, a window of frames at a time. What was computed
is kept in OUT.partial: an interrupted run goes on there.

Networks, sizes and the reading of heatmaps are those of the params file: a video of the data set
gets the numbers that the DAG predicts for it.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray
from torch import nn

from models.base.weights import load_weights
from models.detection.network import build_detector
from models.detection.person_detectors import TorchvisionPersonDetector
from models.hrnet.clips import build_clip_maps
from models.raft.clips import build_clip_flow
from models.systems.lookup import find_system
from models.vit.clips import build_clip_tokens
from pipeline.clips.clips import ClipSettings
from pipeline.core.atomic_file import write_file
from pipeline.core.limbs import LIMBS
from pipeline.core.networks.backbones import DESCRIPTION, read_backbones
from pipeline.core.networks.devices import pick_device
from pipeline.core.networks.weights import read_weights
from pipeline.core.params import read_params
from pipeline.core.skeleton import JOINTS
from pipeline.core.tables.parquet import read_table
from pipeline.core.units.progress import progress
from pipeline.core.units.receipts import hash_file
from pipeline.detection.hog import HogDetector
from pipeline.detection.network import NetworkDetector
from pipeline.prediction.task import Reading
from pipeline.video.boxes import BoxFinder, FileBoxes, IntervalDetector
from pipeline.video.overlay import write_overlay
from pipeline.video.pose_files import write_coco, write_posetrack
from pipeline.video.poses import POSES, PoseNetworks, WindowPoseEstimator, write_poses
from pipeline.video.source import Frame, VideoSource, open_source
from pipeline.video.tracks import assign_track_ids
from pipeline.video.windows import split_windows
from posereel.configured_head import read_head

WINDOW = 16
"""Key frames in memory at once: with 4 neighbors, 125 MB of 1080p."""
DEFAULT_HEAD = "jmpose"
BuildCache = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that decides the numbers of a run."""

    values: dict[str, Any]
    """Content of the params file."""
    params: Path
    head: str
    head_weights: Path | None
    backbone: tuple[str, Path]
    """Variant and weights of HRNet."""
    boxes: Path | None
    every: int
    score: float

    def files(self) -> dict[str, Path]:
        """Return the weights that the run reads, by what they are for."""
        found = {} if self.head_weights is None else {"head": self.head_weights}
        for kind in read_head(self.params, self.head).system.caches:
            found[kind] = {
                "flow": Path(self.values["flow"]["weights"]),
                "tokens": Path(self.values["tokens"]["weights"]),
            }.get(kind, self.backbone[1])
        if self.boxes is None and self.values["detect"]["kind"] == "torchvision":
            found["detector"] = Path(self.values["detect"]["weights"])
        return found


def main(
    video: Annotated[Path, typer.Argument(help="Video file, or a folder of its frames.")],
    *,
    head: Annotated[str, typer.Option(help="A system: a folder of models/heads.")] = DEFAULT_HEAD,
    weights: Annotated[
        Path, typer.Option(help="Folder of heads: one that ships, or data/runs.")
    ] = Path("data/weights/heads"),
    boxes: Annotated[
        Path | None, typer.Option(help="COCO results, image_id = frame from 0, for a detector.")
    ] = None,
    frames: Annotated[str, typer.Option(help="First and last frame, such as 10-100.")] = "",
    detect_every: Annotated[int, typer.Option(min=1, help="Detect in every n-th frame.")] = 1,
    track: Annotated[Literal["iou", "none"], typer.Option(help="How ids are given.")] = "iou",
    score: Annotated[float, typer.Option(min=0, max=1, help="Least score of a box.")] = 0.3,
    out: Annotated[Path | None, typer.Option(help="Folder to make.")] = None,
    overlay: Annotated[bool, typer.Option("--overlay/--no-overlay", help="Draw a film.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print meta.json at the end.")] = False,
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the poses of everybody in VIDEO: Parquet, PoseTrack and COCO JSON, and a film."""
    source = open_source(video)
    first, last = _range(frames)
    place = out or Path(f"{video.stem}-poses")
    if place.exists():
        raise ValueError(f"{place}: expected a new folder, found one; remove it or choose --out")
    setup = _setup(params, head, weights, boxes, detect_every, score)
    size = next(source.read()).picture.shape[:2]
    facts = _facts(source, setup, first, last, track)
    with _work_folder(place, facts) as work:
        poses, stop = _poses(source, setup, work, first, last, size)
        poses["track_id"] = _ids(poses, track)
        facts |= {
            "frames": stop - first,
            "image_size": list(size),
            "people": len(poses),
            "tracks": int(poses["track_id"].nunique()) if track == "iou" else None,
        }
        made = work / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        _write(made, poses, range(first, stop), video.stem, size, facts)
        if overlay:
            shown = _shown(source, range(first, stop))
            write_overlay(made / "overlay.mp4", shown, poses, source.rate, score)
        made.replace(place)
    typer.echo(json.dumps(facts, indent=1) if as_json else f"predict: wrote {place}")


def _range(frames: str) -> tuple[int, int | None]:
    if not frames:
        return 0, None
    match = re.fullmatch(r"(\d+)-(\d+)", frames)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"--frames {frames}: expected FIRST-LAST, such as 10-100, from 0 on")
    return int(match[1]), int(match[2])


def _setup(
    params: Path,
    head: str,
    weights: Path,
    boxes: Path | None,
    every: int,
    score: float,
) -> Setup:
    """Find the files of a run and say what the networks know."""
    values = read_params(params)
    finetune = values["finetune_backbone"]
    backbone = str(finetune["variant"]), Path(finetune["weights"])
    # Heads of a run belong to the backbone of that run.
    backbones = weights.parent / "backbones"
    own_run = (weights / head).is_dir() or weights.name == "runs"
    if own_run and (backbones / DESCRIPTION).is_file():
        found = read_backbones(backbones)
        backbone = found.variant, found.weights("val", "")
    file = weights / head / "weights.safetensors" if own_run else weights / f"{head}.safetensors"
    setup = Setup(
        values,
        params,
        head,
        file if find_system(head).trained else None,
        backbone,
        boxes,
        every,
        score,
    )
    if any("synthetic" in path.parts for path in setup.files().values()):
        typer.echo(
            "predict: these networks know rendered people only; expect poor poses on real "
            "ones until weights are imported (import_weights) and heads trained on real videos",
            err=True,
        )
    return setup


def _facts(
    source: VideoSource, setup: Setup, first: int, last: int | None, track: str
) -> dict[str, Any]:
    """Return what a run's results depend on, and what a reader of them needs to know."""
    sections = ("crop", "detect", "flow", "tokens", "predict")
    return {
        "source": source.path.name,
        "source_sha256": source.digest(),
        "rate": source.rate,
        "first_frame": first,
        "last_frame": last,
        "head": setup.head,
        "weights_sha256": {name: hash_file(file) for name, file in setup.files().items()},
        "boxes_sha256": None if setup.boxes is None else hash_file(setup.boxes),
        "detect_every": setup.every,
        "score_min": setup.score,
        "track": track,
        "params": {name: setup.values[name] for name in sections}
        | {"head": dict(read_head(setup.params, setup.head).arguments)},
        "joints": list(JOINTS),
        "limbs": [list(limb) for limb in LIMBS],
    }


@contextmanager
def _work_folder(place: Path, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield the folder of unfinished work, which goes when all is done.

    That of a run with other settings is emptied; an error leaves what was computed, if anything.
    """
    work = place.with_name(f"{place.name}.partial")
    key = json.dumps(facts, indent=1, sort_keys=True).encode()
    if not (work / "run.json").is_file() or (work / "run.json").read_bytes() != key:
        shutil.rmtree(work, ignore_errors=True)
        (work / "parts").mkdir(parents=True)
        write_file(work / "run.json", key)
    try:
        yield work
    except Exception:
        if not any((work / "parts").iterdir()):
            shutil.rmtree(work)
        raise
    shutil.rmtree(work)


def _poses(
    source: VideoSource,
    setup: Setup,
    work: Path,
    first: int,
    last: int | None,
    size: tuple[int, int],
) -> tuple[pd.DataFrame, int]:
    """Return the people of all key frames, and one past the last of these."""
    delta = (read_head(setup.params, setup.head).system.frames - 1) // 2
    reach = delta * setup.values["crop"]["gap"]
    poser: WindowPoseEstimator | None = None
    parts: list[pd.DataFrame] = []
    stop = first
    total = (source.frames if last is None else min(last + 1, source.frames or last + 1)) - first
    with progress("predict", max(total, 0), "frames") as advance:
        for window in split_windows(_whole(source, size), first, last, reach=reach, length=WINDOW):
            part = work / "parts" / f"{window.start:08d}.parquet"
            if not part.is_file():
                poser = poser or _build(setup, delta, size)
                write_poses(part, poser(window))
            parts.append(read_table(part, POSES))
            stop = window.stop
            advance(window.stop - window.start)
    if stop == first:
        raise ValueError(f"{source.path}: expected frame {first} and more, the video has fewer")
    return pd.concat(parts, ignore_index=True), stop


def _whole(source: VideoSource, size: tuple[int, int]) -> Iterator[Frame]:
    """Yield the frames and see to it that all have one size."""
    for frame in source.read():
        if frame.picture.shape[:2] != size:
            raise ValueError(
                f"{source.path}: frame {frame.number}: expected {size[0]} x {size[1]} pixels "
                f"(height x width) as before, got {frame.picture.shape[:2]}; cut the video there"
            )
        yield frame


def _shown(source: VideoSource, numbers: range) -> Iterator[Frame]:
    """Yield the frames of the film; drawing 1080p takes as long as finding the poses."""
    with progress("overlay", len(numbers), "frames") as advance:
        for frame in source.read():
            if frame.number >= numbers.stop:
                break
            if frame.number in numbers:
                yield frame
                advance()


def _build(setup: Setup, delta: int, size: tuple[int, int]) -> WindowPoseEstimator:
    """Load all networks."""
    values, configured = setup.values, read_head(setup.params, setup.head)
    system, crop_size = configured.system, configured.crop_size
    device = pick_device(values["extract"]["device"]).type
    caches = {kind: _cache(setup, kind, crop_size).to(device) for kind in system.caches}
    example = torch.zeros(1, 2 * delta + 1, *crop_size, 3, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        shapes = {kind: tuple(network(example).shape[1:]) for kind, network in caches.items()}
    file = setup.head_weights
    weights = {} if file is None else read_weights(file)
    head = configured.with_weights(weights, str(file), shapes)
    frames = 2 * delta + 1
    reading = values["predict"]
    # As many clips at once as the stages take: a pass of RAFT holds all pairs' correlations.
    clips = min(reading["batch"], *(values[kind]["batch"] // frames for kind in system.caches))
    return WindowPoseEstimator(
        _find_boxes(setup, device, size),
        PoseNetworks(caches, head.to(device).eval(), device),
        ClipSettings(crop_size, values["crop"]["enlarge"], delta, values["crop"]["gap"], None),
        Reading(
            reading["decode"], reading["blur"], reading["score"], reading["flip"], max(1, clips)
        ),
    )


def _cache(setup: Setup, kind: str, crop_size: tuple[int, int]) -> nn.Module:
    """Return the network that the stage ``kind`` runs."""
    values = setup.values
    variant = setup.backbone[0]
    build: BuildCache = {
        "heatmaps": partial(build_clip_maps, variant=variant, joints=len(JOINTS), features=False),
        "features": partial(build_clip_maps, variant=variant, joints=len(JOINTS), features=True),
        "flow": partial(
            build_clip_flow, variant=values["flow"]["variant"], updates=values["flow"]["updates"]
        ),
        "tokens": partial(build_clip_tokens, variant=values["tokens"]["variant"]),
    }[kind]
    file = setup.files()[kind]
    return build(read_weights(file), str(file), crop_size)


def _find_boxes(setup: Setup, device: str, size: tuple[int, int]) -> BoxFinder:
    if setup.boxes is not None:
        return FileBoxes(setup.boxes, size, setup.score)
    section = setup.values["detect"]
    every = partial(
        IntervalDetector,
        every=setup.every,
        batch=section["batch"],
        score_min=setup.score,
        source=section["kind"],
    )
    if section["kind"] == "hog":
        return every(HogDetector())
    if section["kind"] != "torchvision":
        raise ValueError(
            f"{setup.params}: detect.kind: expected torchvision or hog for a video, got "
            f"{section['kind']!r}; give the boxes of another detector with --boxes"
        )
    network = build_detector(section["variant"])
    load_weights(network, read_weights(Path(section["weights"])), section["weights"])
    return every(NetworkDetector(TorchvisionPersonDetector(network), device))


def _ids(poses: pd.DataFrame, track: str) -> NDArray[np.int64]:
    if track == "none":
        return np.full(len(poses), -1, np.int64)
    boxes = poses[["box_x", "box_y", "box_w", "box_h"]].to_numpy(dtype=float)
    return assign_track_ids(poses["frame"].to_numpy(dtype="int64"), boxes)


def _write(
    folder: Path,
    poses: pd.DataFrame,
    numbers: range,
    video: str,
    size: tuple[int, int],
    facts: dict[str, Any],
) -> None:
    write_poses(folder / "predictions.parquet", poses)
    write_posetrack(folder / "posetrack.json", poses, numbers, video)
    write_coco(folder / "coco.json", poses, numbers, video, size)
    write_file(folder / "meta.json", json.dumps(facts, indent=1).encode() + b"\n")
