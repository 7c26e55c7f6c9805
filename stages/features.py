"""HRNet's last feature maps, for heads that read more than heatmaps.

Reads: the crops of hrnet, uint8 ``(T, H, W, 3)`` per clip, and data/backbones.
Writes: float16 ``(T, C, H / 4, W / 4)`` per clip, C = 48 in HRNet-W48; an empty store unless
enabled.
Params: ``features``.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from pipeline.core.errors import one_line
from pipeline.core.grid import grid_size
from pipeline.core.networks.backbones import read_backbones
from pipeline.core.networks.devices import device_type
from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.skeleton import JOINTS
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import read_extract
from pipeline.extraction.plan import plan_empty_store, plan_extraction, plan_store

app = typer.Typer(add_completion=False)
STAGE = "features"


class Features(Section):
    """Parameters of this stage."""

    enabled: Annotated[bool, OUT_OF_KEY]
    """Whether features are written; the ablation JM-Pose* needs them."""
    batch: Annotated[int, Field(ge=1)]
    """Frames per forward pass."""


def _row_shape(crop: tuple[int, ...], *, channels: int) -> tuple[int, ...]:
    frames, height, width = crop[:3]
    return frames, channels, *grid_size((height, width))


def plan(split: str, units: str, data: Path, params: Path) -> Plan:
    """Return the plan for one split.

    Args:
        split: train, val or val_gt.
        units: Slice ``i/n`` of the units to compute; "" = all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Features)
    engine, run = read_extract(params, units)
    if not section.enabled:
        return plan_empty_store(STAGE, split=split, data=data, run=run)
    # Imported here: the import takes seconds, and most runs have returned above.
    from models.hrnet.clips import build_clip_maps  # noqa: PLC0415
    from models.hrnet.network import feature_channels  # noqa: PLC0415

    backbones = read_backbones(data / "backbones")
    extraction = plan_extraction(
        stage=STAGE,
        crops=data / "crops" / "hrnet" / split,
        weights_of=partial(backbones.weights, split),
        build_network=partial(
            build_clip_maps, variant=backbones.variant, joints=len(JOINTS), features=True
        ),
        row_shape=partial(_row_shape, channels=feature_channels(backbones.variant)),
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
    """Write the feature maps of all clips of SPLIT, or an empty store."""
    typer.echo(build(plan(split, units, data, params)))


if __name__ == "__main__":
    app()
