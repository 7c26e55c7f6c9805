"""Estimate clips, bytes and time before a run.

Clips are counted from the annotation files; for PoseTrack presets whose data set is not here, from
published totals. Times come from a short calibration: every network of the preset makes some passes
on this machine, with random weights, which take as long as trained ones, and one clip or frame at
a time: a GPU with full batches is faster than that.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from torch import Tensor, nn

from pipeline.clips.cropping import crop
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.data_set import read_data_set
from pipeline.core.frames.images import decode_image
from pipeline.core.networks.devices import pick_device
from pipeline.core.params import read_params, read_section
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.units.run_time import Extract
from pipeline.core.units.scratch import find_scratch
from pipeline.core.units.threads import limit_threads
from pipeline.importing.presets import find_preset
from pipeline.maintenance.expected_clips import (
    SplitCount,
    counts_of_files,
    counts_of_specs,
    published_counts,
)
from pipeline.maintenance.forecast import Line, Speeds, forecast
from pipeline.synthetic.annotation import write_video
from posereel.commands.show_model import BACKBONES, cache_shapes, example, trained_systems
from stages.render import Render, split_specs

FRAME = (720, 1280)
"""Height and width of the picture that decoding is measured on."""
_PASSES, _ENOUGH = 4, 2.0
"""Most passes of one network, and seconds after which no further one is begun."""
_EVERY = 6
"""Every so many videos of a data set that is still to be rendered is rendered to count people."""


def main(
    preset: Annotated[str, typer.Option(help="A file of presets/; else params.yaml.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print clips, bytes and estimated seconds of every stage."""
    params = find_preset(preset) if preset else Path("params.yaml")
    values = read_params(params)
    extract = read_section(params, "extract", Extract)
    limit_threads(extract.threads)
    try:
        lines, counts = _forecast(params, values, pick_device(extract.device))
    except KeyError as error:
        raise ValueError(
            f"{params}: expected the sections of a preset, {error} is missing; compare it with "
            "presets/synthetic.yaml"
        ) from error
    if as_json:
        content = {
            "splits": {split: asdict(count) for split, count in counts.items()},
            "stages": [asdict(line) for line in lines],
        }
        typer.echo(json.dumps(content, indent=1))
        return
    _print(lines, counts, read_data_set(params).name)


def _forecast(
    params: Path, values: Mapping[str, Any], device: torch.device
) -> tuple[list[Line], dict[str, SplitCount]]:
    """Return what every stage will take, and the splits that it was told from."""
    shapes = _shapes(values, params)
    with tempfile.TemporaryDirectory() as folder:
        seconds, people_per_frame = _render_some(params, Path(folder))
    counts = _count(params, people_per_frame)
    speeds = _calibrate(params, values, seconds, device)
    return forecast(values, counts, shapes, speeds), counts


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
    """Measure everything once, after a first pass that warms it up."""
    forward: dict[str, float] = {}
    training: dict[str, float] = {}
    heads = trained_systems()
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
    """Return an input with numbers of the usual size in place of whatever memory held."""
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
    # Evaluation mode: a batch of one has no statistics, and the cost is the same.
    network.eval()
    out = network(**inputs)
    maps = out if isinstance(out, Tensor) else out.heatmaps
    maps.sum().backward()


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return the shortest of up to four times; what else the machine does only adds to them."""
    spent: list[float] = []
    while len(spent) < _PASSES and sum(spent) < _ENOUGH:
        begin = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - begin)
    return min(spent)


def _picture_seconds(crop_size: tuple[int, int]) -> tuple[float, float]:
    """Return seconds of decoding a frame of usual size and of cutting one crop out of it."""
    picture = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    to_crop = np.array([[0.5, 0.0, 10.0], [0.0, 0.5, 10.0]])
    # Blurred: noise would take longer than any real frame.
    data = cv2.imencode(".jpg", cv2.blur(picture, (9, 9)))[1].tobytes()
    cpu = torch.device("cpu")
    decode = _seconds(partial(decode_image, Path("frame.jpg"), data, None), cpu)
    warp = _seconds(partial(crop, picture, to_crop, crop_size, flipped=False), cpu)
    return decode, warp


def _print(lines: Sequence[Line], counts: Mapping[str, SplitCount], name: str) -> None:
    for split, count in counts.items():
        typer.echo(
            f"{name} {split}: {count.videos} videos, {count.labeled:.0f} labeled frames, "
            f"{count.people:.0f} people ({count.source})"
        )
    width = max(len(line.name) for line in lines)
    typer.echo(f"{'stage':<{width}}  {'clips':>9}  {'GB':>8}  {'time':>10}")
    for line in lines:
        size = f"{line.bytes / 1e9:.2f}" if line.bytes else "-"
        typer.echo(f"{line.name:<{width}}  {line.clips:>9}  {size:>8}  {_clock(line.seconds):>10}")
    total = sum(line.bytes for line in lines)
    spent = sum(line.seconds or 0 for line in lines)
    free = shutil.disk_usage(find_scratch(Path()).project).free
    typer.echo(
        f"plan: {total / 1e9:.1f} GB of stores ({free / 1e9:.1f} GB are free), about "
        f"{_clock(spent)} one after the other on this machine; evaluate and report are not counted"
    )


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
