"""Draw the offsets, masks and attention of a trained head.

Reads: the caches and crops of a split, and data/runs/<system>.
Writes: one PNG with a row per clip. DVC does not track it.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer


def main(
    system: Annotated[str, typer.Argument(help="A system whose folder has a view.py.")],
    split: Annotated[
        Literal["train", "val", "val_gt"], typer.Option(help="Split of the clips.")
    ] = "val_gt",
    clips: Annotated[int, typer.Option(min=1, help="Rows: clips spread over the split.")] = 4,
    joint: Annotated[
        str, typer.Option(help="Joint whose sampling points are drawn.")
    ] = "right_wrist",
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("attention.png"),
    data: Annotated[Path, typer.Option(help="Folder of all outputs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Draw the sampling points, masks and attention of SYSTEM on clips of SPLIT."""
    from pipeline.pictures.png import write_png
    from posereel.attention_sheet import attention_sheet

    sheet, names = attention_sheet(
        system, split=split, clips=clips, joint=joint, data=data, params=params
    )
    write_png(out, sheet)
    typer.echo(f"show-attention: {len(names)} clips of {split} in {out}")
