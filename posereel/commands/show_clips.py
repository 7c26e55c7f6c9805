"""Draw a contact sheet of rendered videos with labels.

Reads: nothing; the videos are rendered from their seeds.
Writes: one PNG. Each row is a video; its columns are consecutive frames from the middle of it. Dots
are visible joints, rings are hidden ones. Orange is the person's left side, blue the right side.
Gray boxes are ignore regions.
"""

from pathlib import Path
from typing import Annotated

import typer


def main(
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("clips.png"),
    seed_range: Annotated[str, typer.Option(help="Seed range to draw videos from.")] = "val",
    first: Annotated[int, typer.Option(help="Position in the range of the first video.")] = 0,
    videos: Annotated[int, typer.Option(help="Rows.", min=1)] = 4,
    frames: Annotated[int, typer.Option(help="Columns: consecutive frames.", min=1)] = 4,
    width: Annotated[int, typer.Option(help="Width of the PNG in pixels; 0: not resized.")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="Draw no labels.")] = False,
) -> None:
    """Render some videos and write a contact sheet of them to OUT."""
    from pipeline.pictures.png import write_png
    from pipeline.synthetic.dataset import video_specs
    from posereel.clip_sheet import clip_sheet

    specs = video_specs(seed_range, videos, first=first, frames=max(24, frames))
    write_png(out, clip_sheet(specs, frames, plain=plain, width=width))
    typer.echo(f"show-clips: {len(specs)} videos, {len(specs) * frames} frames in {out}")
