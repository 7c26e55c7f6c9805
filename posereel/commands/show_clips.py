"""Draw a contact sheet of rendered videos with labels.

Reads: nothing; the videos are rendered anew from their seeds.
Writes: one PNG. Every row is a video, its columns consecutive frames from the middle on. Dots are
seen joints, rings hidden ones; orange is the person's left, blue their right; gray boxes are
ignored regions.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.pictures.png import write_png
from pipeline.report.drawing import contact_sheet, draw_box, draw_pose, enlarge
from pipeline.synthetic.dataset import VideoSpec, video_specs
from pipeline.synthetic.rendering import SyntheticVideo, render_video

_FACTOR = 2


def _drawn(video: SyntheticVideo, frame: int, plain: bool) -> NDArray[np.uint8]:
    """Return an enlarged frame with its labels."""
    image = enlarge(video.images[frame], _FACTOR)
    if plain:
        return image
    for polygon in video.ignored[frame]:
        corners = np.array(polygon) * _FACTOR
        low, high = corners.min(axis=0), corners.max(axis=0)
        image = draw_box(image, np.concatenate([low, high - low]), (150, 150, 150), 2)
    for person in np.flatnonzero(video.present[frame]).tolist():
        # Pixel centers at integers: the center of the first pixel moves by half the factor less 1.
        places = video.keypoints[frame, person] * _FACTOR + (_FACTOR - 1) / 2
        image = draw_pose(image, places, video.visible[frame, person])
    return image


def _row(spec: VideoSpec, columns: int, plain: bool) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Return one video's pictures and captions."""
    video = render_video(spec)
    start = (spec.frames - columns) // 2
    frames = range(start, start + columns)
    captions = [
        f"{spec.name} {frame} {video.tags[frame]}{'' if video.labeled[frame] else ' unlabeled'}"
        for frame in frames
    ]
    return [_drawn(video, frame, plain) for frame in frames], captions


def main(
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("clips.png"),
    seed_range: Annotated[str, typer.Option(help="Seed range to draw videos from.")] = "val",
    first: Annotated[int, typer.Option(help="Position in the range of the first video.")] = 0,
    videos: Annotated[int, typer.Option(help="Rows.", min=1)] = 4,
    frames: Annotated[int, typer.Option(help="Columns: consecutive frames.", min=1)] = 4,
    plain: Annotated[bool, typer.Option("--plain", help="Draw no labels.")] = False,
) -> None:
    """Render some videos and write a contact sheet of them to OUT."""
    specs = video_specs(seed_range, videos, first=first, frames=max(24, frames))
    rows = [_row(spec, frames, plain) for spec in specs]
    tiles = [tile for pictures, _ in rows for tile in pictures]
    captions = [caption for _, lines in rows for caption in lines]
    sheet = contact_sheet(tiles, frames, captions)
    write_png(out, sheet)
    typer.echo(f"show-clips: {len(specs)} videos, {len(tiles)} frames in {out}")
