"""Initial heatmaps: HRNet on every frame of every clip.

Reads: the crops of hrnet, uint8 ``(T, H, W, 3)`` per clip, and data/backbones.
Writes: float16 ``(T, K, H / 4, W / 4)`` per clip, peak about 1 at a joint.
Params: ``heatmaps``.

With folds, the backbone of a train video is one that was not trained on it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from pipeline.core.errors import one_line
from pipeline.core.grid import grid_size
from pipeline.core.networks.backbones import read_backbones
from pipeline.core.networks.devices import device_type
from pipeline.core.params import Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.skeleton import JOINTS
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import read_extract
from pipeline.extraction.plan import plan_extraction, plan_store

if TYPE_CHECKING:
    from torch import Tensor, nn

app = typer.Typer(add_completion=False)
STAGE = "heatmaps"


class Heatmaps(Section):
    """Parameters of this stage."""

    batch: Annotated[int, Field(ge=1)]
    """Frames per forward pass."""


def _row_shape(crop: tuple[int, ...]) -> tuple[int, ...]:
    frames, height, width = crop[:3]
    return frames, len(JOINTS), *grid_size((height, width))


def _build_network(
    weights: Mapping[str, "Tensor"],
    source: str,
    crop_size: tuple[int, int],
    *,
    variant: str,
    joints: int,
    features: bool,
) -> "nn.Module":
    """See ``models.hrnet.clips.build_clip_maps``."""
    from models.hrnet.clips import build_clip_maps  # noqa: PLC0415  imports torch; plans need none

    return build_clip_maps(
        weights, source, crop_size, variant=variant, joints=joints, features=features
    )


def plan(split: str, units: str, data: Path, params: Path) -> Plan:
    """Return the plan for one split.

    Args:
        split: train, val or val_gt.
        units: Slice ``i/n`` of the units to compute; "" = all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Heatmaps)
    engine, run = read_extract(params, units)
    backbones = read_backbones(data / "backbones")
    extraction = plan_extraction(
        stage=STAGE,
        crops=data / "crops" / "hrnet" / split,
        weights_of=partial(backbones.weights, split),
        build_network=partial(
            _build_network, variant=backbones.variant, joints=len(JOINTS), features=False
        ),
        row_shape=_row_shape,
        batch=section.batch,
        device=device_type(engine.device),
    )
    return plan_store(
        extraction, section.key_params(), section.batch, split=split, data=data, run=run
    )


@app.command()
@one_line
def main(
    split: Annotated[str, typer.Option(help="train, val or val_gt.")],
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the initial heatmaps of all clips of SPLIT."""
    typer.echo(build(plan(split, units, data, params)))


if __name__ == "__main__":
    app()
