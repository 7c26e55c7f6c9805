"""Draw people with their labels and the poses of two systems.

Reads: annotations, data/index, data/metrics, data/predictions, and frames below ``data.root``.
Writes: one PNG. Each person is shown three times: labels, baseline, head. Orange is the person's
left side, blue the right side.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer


def main(
    baseline: Annotated[str, typer.Argument(help="System in the middle, such as hrnet.")],
    head: Annotated[str, typer.Argument(help="System on the right, such as jmpose.")],
    kind: Annotated[
        Literal["improved", "worsened", "worst"],
        typer.Option(help="People whose pose HEAD improves most, worsens most or misses most."),
    ] = "improved",
    people: Annotated[int, typer.Option(min=1, help="Number of people.")] = 3,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("poses.png"),
    data: Annotated[Path, typer.Option(help="Folder of all outputs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Draw people of val_gt with the poses of BASELINE and HEAD to OUT."""
    from pipeline.pictures.png import write_png
    from posereel.pose_sheet import pose_sheet

    picture, places = pose_sheet(baseline, head, kind, people, params=params, data=data)
    write_png(out, picture)
    typer.echo(f"show-poses: {'; '.join(places)} in {out}")
