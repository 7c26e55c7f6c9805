"""Score predictions by PoseTrack AP and OKS AP."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.atomic_file import write_file


class ProtocolName(StrEnum):
    """Official tools whose rules are implemented."""

    POSEVAL = "poseval"
    POSETRACK21 = "posetrack21"


def main(
    gt_dir: Annotated[Path, typer.Argument(help="Ground-truth files, one per video.")],
    pred_dir: Annotated[Path, typer.Argument(help="Prediction files with the same names.")],
    protocol: Annotated[ProtocolName, typer.Option(help="Official tool whose rules apply.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    no_oks: Annotated[bool, typer.Option("--no-oks", help="Do not compute OKS AP.")] = False,
) -> None:
    """Write AP per joint and group (percent), counts, OKS AP and acceleration error to OUT."""
    from pipeline.maintenance.score import score_folders

    def warn(message: str) -> None:
        typer.echo(f"score: warning: {message}", err=True)

    values = score_folders(gt_dir, pred_dir, protocol.value, warn=warn, oks=not no_oks)
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, text.encode())
    total = values["ap_total"]
    typer.echo(
        f"score: {protocol.value} AP {'-' if total is None else f'{total:.2f}'} over "
        f"{values['n_frames_used']} frames; wrote {out}"
    )
