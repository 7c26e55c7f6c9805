"""Initial heatmaps: HRNet on every frame of every clip.

Reads: the crops of hrnet, uint8 ``(T, H, W, 3)`` per clip, and data/backbones.
Writes: float16 ``(T, K, H / 4, W / 4)`` per clip, peak about 1 at a joint.
Params: ``heatmaps``.

With folds, the heatmaps of a train video come from the backbone that has not seen it.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from models.clip_maps import build_clip_maps
from pipeline.backbones import read_backbones
from pipeline.devices import pick_device
from pipeline.extraction import extract, plan_extraction, plan_units
from pipeline.failures import one_line
from pipeline.heatmap import STRIDE
from pipeline.params import Section, read_section
from pipeline.run_time import read_extract
from pipeline.skeleton import JOINTS

app = typer.Typer(add_completion=False)
STAGE = "heatmaps"


class Heatmaps(Section):
    """Parameters of this stage."""

    batch: Annotated[int, Field(ge=1)]
    """Frames per forward pass."""


def _row_shape(crop: tuple[int, ...]) -> tuple[int, ...]:
    frames, height, width = crop[:3]
    return frames, len(JOINTS), height // STRIDE, width // STRIDE


@app.command()
@one_line
def main(
    split: Annotated[str, typer.Option(help="train, val or val_gt.")],
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the initial heatmaps of all clips of SPLIT."""
    section = read_section(params, STAGE, Heatmaps)
    engine, run = read_extract(params, units)
    backbones = read_backbones(data / "backbones")
    extraction = plan_extraction(
        stage=STAGE,
        crops=data / "crops" / "hrnet" / split,
        weights_of=partial(backbones.weights, split),
        build_network=partial(
            build_clip_maps, variant=backbones.variant, joints=len(JOINTS), features=False
        ),
        row_shape=_row_shape,
        batch=section.batch,
        device=pick_device(engine.device).type,
    )
    planned = plan_units(extraction, section.key_params(), section.batch)
    typer.echo(extract(extraction, planned, split, data, run))


if __name__ == "__main__":
    app()
