"""Networks that estimate the poses in a video, from params.yaml and a folder of heads."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.base.weights import load_weights
from models.detection.network import build_detector
from models.detection.person_detectors import TorchvisionPersonDetector
from models.head_parts.lookup import find_system
from models.hrnet.clips import build_clip_maps
from models.raft.clips import build_clip_flow
from models.vit.clips import build_clip_tokens
from pipeline.clips.clips import ClipSettings
from pipeline.core.networks.backbones import DESCRIPTION, read_backbones
from pipeline.core.networks.devices import pick_device
from pipeline.core.networks.weights import read_weights
from pipeline.core.params import read_params
from pipeline.core.skeleton import JOINTS
from pipeline.core.units.threads import limit_threads
from pipeline.detection.hog import HogDetector
from pipeline.detection.network import NetworkDetector
from pipeline.prediction.poses import DecodeConfig
from pipeline.video.boxes import BoxFinder, FileBoxes, IntervalDetector
from pipeline.video.poses import PoseNetworks, WindowPoseEstimator
from posereel.configured_head import ConfiguredHead, read_head

BuildCache = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True)
class VideoSetup:
    """Everything that decides the poses of a video, except for the video."""

    params: Path
    """The params file."""
    values: dict[str, Any]
    """Its content."""
    head: ConfiguredHead
    head_weights: Path | None
    """None for a system without weights of its own."""
    backbone: tuple[str, Path]
    """Variant and weights of HRNet."""
    boxes: Path | None
    """COCO results, used instead of a detector."""
    detect_every: int
    score: float
    """Lowest score of a box."""

    @property
    def delta(self) -> int:
        """Neighbors on each side of a key frame that the head reads."""
        return (self.head.system.frames - 1) // 2

    def files(self) -> dict[str, Path]:
        """Return the weights files of the run by their role."""
        found = {} if self.head_weights is None else {"head": self.head_weights}
        for kind in self.head.system.caches:
            found[kind] = {
                "flow": Path(self.values["flow"]["weights"]),
                "tokens": Path(self.values["tokens"]["weights"]),
            }.get(kind, self.backbone[1])
        if self.boxes is None and self.values["detect"]["kind"] == "torchvision":
            found["detector"] = Path(self.values["detect"]["weights"])
        return found


def read_setup(
    params: Path, head: str, weights: Path, boxes: Path | None, detect_every: int, score: float
) -> VideoSetup:
    """Find the files of a run.

    Args:
        params: The params file.
        head: Name of the system.
        weights: Folder of heads: ``<head>.safetensors`` each, or data/runs with a folder each.
        boxes: COCO results, or None for the detector of the params file.
        detect_every: Distance of the frames in which the detector runs.
        score: Lowest score of a box.

    Raises:
        ValueError: If there is no such system, or its section of the params file is malformed.
    """
    values = read_params(params)
    finetune = values["finetune_backbone"]
    backbone = str(finetune["variant"]), Path(finetune["weights"])
    # The heads of a run belong to the backbone of that run.
    backbones = weights.parent / "backbones"
    own_run = (weights / head).is_dir() or weights.name == "runs"
    if own_run and (backbones / DESCRIPTION).is_file():
        found = read_backbones(backbones)
        backbone = found.variant, found.weights("val", "")
    file = weights / head / "weights.safetensors" if own_run else weights / f"{head}.safetensors"
    return VideoSetup(
        params,
        values,
        read_head(params, head),
        file if find_system(head).trained else None,
        backbone,
        boxes,
        detect_every,
        score,
    )


def build_estimator(setup: VideoSetup, image_size: tuple[int, int]) -> WindowPoseEstimator:
    """Load all networks.

    Args:
        setup: The files and settings.
        image_size: Height and width of the frames, pixels.

    Raises:
        ValueError: If weights do not fit, or the detector cannot run on a video.
    """
    values, crop_size = setup.values, setup.head.crop_size
    # More threads than cores, on a busy machine, are many times slower than one.
    limit_threads(int(values["extract"]["threads"]))
    system = setup.head.system
    device = pick_device(values["extract"]["device"]).type
    caches = {kind: _cache_network(setup, kind).to(device) for kind in system.caches}
    example = torch.zeros(1, system.frames, *crop_size, 3, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        shapes = {kind: tuple(network(example).shape[1:]) for kind, network in caches.items()}
    file = setup.head_weights
    weights = {} if file is None else read_weights(file)
    head = setup.head.with_weights(weights, str(file), shapes)
    reading = values["predict"]
    # As many clips per pass as in the stages, because RAFT keeps the correlations of all pairs.
    batches = [values[kind]["batch"] // system.frames for kind in system.caches]
    return WindowPoseEstimator(
        _find_boxes(setup, device, image_size),
        PoseNetworks(caches, head.to(device).eval(), device),
        ClipSettings(
            crop_size, values["crop"]["enlarge"], setup.delta, values["crop"]["gap"], None, None
        ),
        DecodeConfig(
            reading["decode"],
            reading["blur"],
            reading["score"],
            reading["flip"],
            max(1, min(reading["batch"], *batches)),
        ),
    )


def _cache_network(setup: VideoSetup, kind: str) -> nn.Module:
    """Return the network of the stage ``kind``."""
    values, variant = setup.values, setup.backbone[0]
    build: BuildCache = {
        "heatmaps": partial(build_clip_maps, variant=variant, joints=len(JOINTS), features=False),
        "features": partial(build_clip_maps, variant=variant, joints=len(JOINTS), features=True),
        "flow": partial(
            build_clip_flow,
            variant=values["flow"]["variant"],
            updates=values["flow"]["updates"],
            scale=values["flow"]["scale"],
        ),
        "tokens": partial(build_clip_tokens, variant=values["tokens"]["variant"]),
    }[kind]
    file = setup.files()[kind]
    return build(read_weights(file), str(file), setup.head.crop_size)


def _find_boxes(setup: VideoSetup, device: str, image_size: tuple[int, int]) -> BoxFinder:
    if setup.boxes is not None:
        return FileBoxes(setup.boxes, image_size, setup.score)
    section = setup.values["detect"]
    every = partial(
        IntervalDetector,
        every=setup.detect_every,
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
