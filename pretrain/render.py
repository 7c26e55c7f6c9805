"""Render one set of videos for pretraining."""

from pathlib import Path
from typing import Annotated, Literal

import cv2
import typer
from pydantic import Field

from pipeline.core.params import Section, read_section
from pipeline.synthetic.dataset import video_specs
from pretrain.scenes import write_scenes

app = typer.Typer(add_completion=False)

Count = Annotated[int, Field(ge=1)]


class Videos(Section):
    """Number and length of the videos of a set."""

    seeds: Literal["pretrain_hrnet", "pretrain_raft", "pretrain_holdout"]
    """Their range of seeds in pipeline/synthetic/dataset.py."""
    videos: Count
    """Videos, from the start of the range."""
    frames: Count
    """Frames per video."""
    gaps: list[Count]
    """For the first frames of a video, to which later frame exact flow is kept; none if empty."""


class Render(Section):
    """Params of every set of videos."""

    hrnet: Videos
    raft: Videos
    raft_gaps: Videos
    holdout: Videos


@app.command()
def main(
    video_set: Annotated[str, typer.Argument(help="hrnet, raft, raft_gaps or holdout.")],
    out: Annotated[Path, typer.Option(help="Folder of scenes.")] = Path("pretrain/out/scenes"),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("pretrain/params.yaml"),
) -> None:
    """Render the videos of VIDEO_SET into OUT/VIDEO_SET."""
    cv2.setNumThreads(1)
    videos: Videos = getattr(read_section(params, "render", Render), video_set)
    specs = video_specs(videos.seeds, videos.videos, frames=videos.frames)
    write_scenes(out / video_set, specs, videos.gaps)
    typer.echo(f"{out / video_set}: {videos.videos} videos of {videos.frames} frames")


if __name__ == "__main__":
    app()
