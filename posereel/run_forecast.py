"""Forecast of a run: clips, bytes and seconds of every stage, from a short calibration."""

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from models.head_parts.lookup import listed_systems
from pipeline.clips.cropping import crop
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.data_set import read_data_set
from pipeline.core.frames.images import decode_image
from pipeline.core.networks.devices import pick_device
from pipeline.core.params import read_params, read_section
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.units.run_time import Extract
from pipeline.core.units.threads import limit_threads
from pipeline.maintenance.expected_clips import (
    SplitCount,
    counts_of_files,
    counts_of_specs,
    published_counts,
)
from pipeline.maintenance.forecast import Line, Speeds, forecast
from pipeline.synthetic.annotation import write_video
from posereel.networks import BACKBONES, cache_shapes, example
from stages.render import Render, split_specs

FRAME = (720, 1280)
"""Height and width of the image that decoding is measured on."""
_PASSES, _ENOUGH = 4, 2.0
"""Largest number of passes of one network, and seconds after which no further pass starts."""
_EVERY = 6
"""One in so many videos of a data set that is not rendered yet is rendered to count people."""


def forecast_run(params: Path) -> tuple[list[Line], dict[str, SplitCount]]:
    """Estimate a run of a params file.

    Args:
        params: The params file; its networks are measured on this machine.

    Returns:
        One line per stage, and the videos, frames and people of every split.

    Raises:
        ValueError: If a section is missing, or nothing is known of the data set.
    """
    values = read_params(params)
    extract = read_section(params, "extract", Extract)
    limit_threads(extract.threads)
    try:
        shapes = _shapes(values, params)
        with tempfile.TemporaryDirectory() as folder:
            seconds, people_per_frame = _render_some(params, Path(folder))
        counts = _count(params, people_per_frame)
        # `cuda` declares the device of workers, which this machine may lack.
        device = pick_device("cpu" if extract.device == "cpu" else "auto")
        speeds = _calibrate(params, values, seconds, device)
        return forecast(values, counts, shapes, speeds), counts
    except KeyError as error:
        raise ValueError(
            f"{params}: expected the sections of a preset, {error} is missing; compare it with "
            "presets/synthetic.yaml"
        ) from error


def _shapes(values: Mapping[str, Any], params: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of a clip's row in every store."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kinds in (("hrnet", ("heatmaps", "flow", "features")), ("vit", ("tokens",))):
        size = read_crop_size(params, name)
        frames = 2 * values["crop"][name]["delta"] + 1
        every = cache_shapes(dict(values), size, frames)
        shapes |= {kind: every[kind] for kind in kinds}
        shapes[f"crops/{name}"] = (frames, *size, 3)
    return shapes


def _render_some(params: Path, folder: Path) -> tuple[float, float]:
    """Return seconds of rendering one video, and the people on each of its labeled frames."""
    specs = split_specs(read_section(params, "render", Render))
    videos = [spec for split in specs.values() for spec in split][::_EVERY]
    if not videos:
        return 0.0, 0.0
    people = frames = 0
    begin = time.perf_counter()
    for spec in videos:
        write_video(spec, "train", folder)
    spent = time.perf_counter() - begin
    for spec in videos:
        read = read_annotations(folder / "annotations" / "train" / f"{spec.name}.json")
        people, frames = people + len(read.people.frame), frames + int(read.labeled.sum())
    return spent / len(videos), people / max(frames, 1)


def _count(params: Path, people_per_frame: float) -> dict[str, SplitCount]:
    data = read_data_set(params)
    if data.name == "synthetic":
        specs = split_specs(read_section(params, "render", Render))
        return counts_of_specs(specs, people_per_frame)
    return counts_of_files(Path(data.annotations)) or published_counts(data.name)


def _calibrate(
    params: Path, values: Mapping[str, Any], render: float, device: torch.device
) -> Speeds:
    """Measure the passes of all networks, decoding and cropping."""
    forward: dict[str, float] = {}
    training: dict[str, float] = {}
    heads = [name for name, system in listed_systems().items() if system.trained]
    detects = values["detect"]["kind"] == "torchvision"
    for name in [*BACKBONES, *heads]:
        if name == "detector" and not detects:
            continue
        network, inputs = example(name, params)
        network.to(device)
        given = {key: _filled(value, device) for key, value in inputs.items()}
        forward[name] = _seconds(partial(_forward, network, given), device)
        if name not in {"vit_backbone", "raft", "detector"}:
            training[name] = _seconds(partial(_train, network, given), device)
    decode, warp = _picture_seconds(read_crop_size(params, "hrnet"))
    return Speeds(
        forward={name: forward[name] for name in BACKBONES if name in forward},
        training=training["hrnet"],
        heads={name: forward[name] for name in heads},
        head_training={name: training[name] for name in heads},
        decode=decode,
        warp=warp,
        render=render,
    )


def _filled(value: object, device: torch.device) -> object:
    """Return an input with random values in place of uninitialized memory."""
    if isinstance(value, list):
        return [_filled(item, device) for item in value]
    if not isinstance(value, Tensor):
        return value
    if value.dtype == torch.uint8:
        return torch.randint(0, 256, value.shape, dtype=torch.uint8, device=device)
    return torch.rand(value.shape, device=device)


def _forward(network: nn.Module, inputs: Mapping[str, object]) -> None:
    network.eval()
    with torch.inference_mode():
        network(**inputs)


def _train(network: nn.Module, inputs: Mapping[str, object]) -> None:
    # Evaluation mode: batch norm needs more than one sample, and the cost is the same.
    network.eval()
    out = network(**inputs)
    maps = out if isinstance(out, Tensor) else out.heatmaps
    maps.sum().backward()


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return the shortest of up to four times; other work on the machine only adds to a time."""
    spent: list[float] = []
    while len(spent) < _PASSES and sum(spent) < _ENOUGH:
        begin = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - begin)
    return min(spent)


def _picture_seconds(crop_size: tuple[int, int]) -> tuple[float, float]:
    """Return seconds of decoding a 720p frame and of one crop."""
    picture = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    to_crop = np.array([[0.5, 0.0, 10.0], [0.0, 0.5, 10.0]])
    # Blurred, because noise takes longer to decode than real frames.
    data = cv2.imencode(".jpg", cv2.blur(picture, (9, 9)))[1].tobytes()
    cpu = torch.device("cpu")
    decode = _seconds(partial(decode_image, Path("frame.jpg"), data, None), cpu)
    warp = _seconds(partial(crop, picture, to_crop, crop_size, flipped=False), cpu)
    return decode, warp
