"""Render the synthetic data set: jointed people, exact labels, no download.

Reads: nothing.
Writes: annotations/<train|val>/<video>.json in PoseTrack18's form, images/<train|val>/<video>/,
frames.manifest and an empty detections.json.
Params: ``render``.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from pipeline.failures import one_line
from pipeline.manifest import write_manifest
from pipeline.params import OUT_OF_KEY, Section, read_section
from pipeline.synthetic.annotation import write_video
from pipeline.synthetic.dataset import VideoSpec, video_specs
from pipeline.whole_file import write_file

app = typer.Typer(add_completion=False)


class Videos(Section):
    """How many videos each split has; 0 in both leaves the data set empty."""

    train: int
    val: int


class Render(Section):
    """Parameters of this stage."""

    videos: Annotated[Videos, OUT_OF_KEY]
    seed: Annotated[int, OUT_OF_KEY]
    """Position in the seed range of the first video of each split."""
    val_range: Annotated[str, OUT_OF_KEY]
    """Seed range of val: `val`, or one of the further ones that measure gains."""
    frames: int
    """Frames per video."""
    height: int
    width: int
    label_run: int
    """Frames in the middle of a video that are all labelled."""
    label_step: int
    """Distance of the labelled frames outside that run."""


def split_specs(params: Render) -> dict[str, tuple[VideoSpec, ...]]:
    """Return the videos of both splits.

    Raises:
        ValueError: If val would show training videos, or a seed range is unknown or too short.
    """
    if params.val_range == "train":
        raise ValueError("render.val_range: expected another seed range than train's, got 'train'")
    purposes = {
        "train": ("train", params.videos.train),
        "val": (params.val_range, params.videos.val),
    }
    return {
        split: video_specs(
            purpose,
            count,
            first=params.seed,
            frames=params.frames,
            height=params.height,
            width=params.width,
            label_run=params.label_run,
            label_step=params.label_step,
        )
        for split, (purpose, count) in purposes.items()
    }


def _emptied(out: Path) -> None:
    """Make an empty folder; only what this stage wrote before is ever removed."""
    if out.exists():
        if any(out.iterdir()) and not (out / "frames.manifest").is_file():
            raise ValueError(
                f"{out}: expected no folder, or one that render wrote, found other files; "
                "remove it yourself or name another --out"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True)


@app.command()
@one_line
def main(
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/raw/synthetic"),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Write the synthetic data set to OUT."""
    specs = split_specs(read_section(params, "render", Render))
    _emptied(out)
    written = [
        path
        for split, videos in specs.items()
        for spec in videos
        for path in write_video(spec, split, out)
    ]
    frames = [path.as_posix() for path in written if path.suffix == ".jpg"]
    write_file(out / "detections.json", b"[]\n")
    write_manifest(out / "frames.manifest", out, frames)
    counts = ", ".join(f"{len(videos)} {split}" for split, videos in specs.items())
    typer.echo(f"render: {counts} videos, {len(frames)} frames in {out}")


if __name__ == "__main__":
    app()
