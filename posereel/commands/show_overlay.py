"""Draw frames of a video that `posereel predict` wrote.

Reads: overlay.mp4 in the folder that `posereel predict` wrote.
Writes: one PNG with evenly spaced frames side by side, the first and the last one included.
"""

from pathlib import Path
from typing import Annotated

import typer


def main(
    poses: Annotated[Path, typer.Argument(help="Folder that `posereel predict` wrote.")],
    frames: Annotated[int, typer.Option(min=1, help="Number of frames.")] = 3,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("overlay.png"),
) -> None:
    """Draw frames of the overlay in POSES side by side to OUT."""
    from pipeline.pictures.png import write_png
    from posereel.overlay_sheet import overlay_sheet

    picture, numbers = overlay_sheet(poses / "overlay.mp4", frames)
    write_png(out, picture)
    typer.echo(f"show-overlay: frames {', '.join(map(str, numbers))} in {out}")
