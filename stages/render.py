"""Render the synthetic data set with exact labels; nothing is downloaded.

Reads: nothing.
Writes: annotations/<train|val>/<video>.json in PoseTrack18's format, images/<train|val>/<video>/,
frames.manifest and an empty detections.json.
Params: ``render``. ``extract`` sets the resources and does not change the results.

A unit is a video.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.atomic_file import write_file
from pipeline.core.errors import one_line
from pipeline.core.manifest import write_manifest
from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.units.key import KeyParts, Unit, make_unit, modules_digest, stage_pins
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import read_extract
from pipeline.synthetic.annotation import write_video
from pipeline.synthetic.dataset import VideoSpec, video_specs
from pipeline.synthetic.degradation import FaultPattern

app = typer.Typer(add_completion=False)
STAGE = "render"


class Videos(Section):
    """Number of videos per split; with 0 in both the data set is empty."""

    train: int
    val: int


class Render(Section):
    """Parameters of this stage."""

    videos: Annotated[Videos, OUT_OF_KEY]
    seed: Annotated[int, OUT_OF_KEY]
    """Offset of the first video of each split in its seed range."""
    val_range: Annotated[str, OUT_OF_KEY]
    """Seed range of the split val: ``val``, or another range for measuring gains."""
    frames: int
    """Frames per video."""
    height: int
    width: int
    label_run: int
    """Number of consecutive labeled frames in the middle of a video."""
    label_step: int
    """Distance between labeled frames outside the middle."""
    faults: FaultPattern
    """Blurred and covered frames: one by one, or three in a row."""


def split_specs(params: Render) -> dict[str, tuple[VideoSpec, ...]]:
    """Return the videos of both splits.

    Raises:
        ValueError: If val uses the seed range of train, or a seed range is unknown or too short.
    """
    if params.val_range == "train":
        raise ValueError("render.val_range: expected another seed range than train's, got 'train'")
    ranges = {
        "train": ("train", params.videos.train),
        "val": (params.val_range, params.videos.val),
    }
    return {
        split: video_specs(
            seed_range,
            count,
            first=params.seed,
            frames=params.frames,
            height=params.height,
            width=params.width,
            label_run=params.label_run,
            label_step=params.label_step,
            faults=params.faults,
        )
        for split, (seed_range, count) in ranges.items()
    }


class RenderTask:
    """Renders one video per unit.

    Args:
        specs: Split and specification of every video, by unit name.
    """

    def __init__(self, specs: Mapping[str, tuple[str, VideoSpec]]) -> None:
        self._specs = specs

    def __call__(self, name: str, folder: Path) -> None:
        """Write the files of one video to ``folder``."""
        split, spec = self._specs[name]
        write_video(spec, split, folder)


def _unit(name: str, split: str, spec: VideoSpec, modules: str, pins: Mapping[str, str]) -> Unit:
    parts = KeyParts(
        stage=STAGE,
        params={"split": split, **asdict(spec)},
        modules=modules,
        pins=pins,
        weights={},
        device="cpu",
        dtype="uint8",
        batch=1,
        clips="",
        frames=[],
        inputs={},
    )
    return make_unit(name, parts, spec.frames * spec.height * spec.width // 2, place="")


def _finish(out: Path) -> None:
    """Write the manifest of all frames and an empty detection file."""
    frames = [path.relative_to(out).as_posix() for path in sorted(out.rglob("*.jpg"))]
    write_file(out / "detections.json", b"[]\n")
    write_manifest(out / "frames.manifest", out, frames)


def plan(units: str, data: Path, params: Path) -> Plan:
    """Return the plan of the data set.

    Args:
        units: Slice ``i/n`` of the units to compute; "" for all.
        data: Folder of all outs.
        params: The params file.
    """
    specs = {
        f"{split}/{spec.name}": (split, spec)
        for split, videos in split_specs(read_section(params, STAGE, Render)).items()
        for spec in videos
    }
    modules, pins = modules_digest(f"stages.{STAGE}"), stage_pins(f"stages.{STAGE}")
    return Plan(
        stage=STAGE,
        modules=[f"stages.{STAGE}"],
        out=data / "raw" / "synthetic",
        listing=data / "units" / STAGE / "synthetic.json",
        units=[_unit(name, *spec, modules, pins) for name, spec in specs.items()],
        make_task=partial(RenderTask, specs),
        run=read_extract(params, units)[1],
        finish=_finish,
    )


@app.command()
@one_line
def main(
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the synthetic data set."""
    typer.echo(build(plan(units, data, params)))


if __name__ == "__main__":
    app()
