"""Optical flow: RAFT from each frame of a clip to the next.

Reads: the crops of hrnet, uint8 ``(T, H, W, 3)`` per clip, and RAFT's weights.
Writes: float16 ``(T - 1, 2, H / 4, W / 4)`` per clip, (dx, dy) in heatmap cells per frame step.
Params: ``flow``.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field

from pipeline.core.errors import one_line
from pipeline.core.grid import grid_size
from pipeline.core.networks.devices import device_type
from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import read_extract
from pipeline.extraction.plan import plan_extraction, plan_store

if TYPE_CHECKING:
    from torch import Tensor, nn

app = typer.Typer(add_completion=False)
STAGE = "flow"


class Flow(Section):
    """Parameters of this stage."""

    variant: Literal["raft_small", "raft_large"]
    """The papers use ``raft_large``, trained on Chairs and Things."""
    updates: Annotated[int, Field(ge=1)]
    """Refinement steps per pair of frames; 20 in the public code."""
    scale: Annotated[float, Field(ge=1)]
    """Enlargement of the crops for RAFT, whose cells are 8 x 8 pixels; 1 in the papers."""
    weights: Annotated[str, OUT_OF_KEY]
    """safetensors file; its content is part of the key."""
    batch: Annotated[int, Field(ge=1)]
    """Pairs of frames per forward pass."""


def _row_shape(crop: tuple[int, ...]) -> tuple[int, ...]:
    frames, height, width = crop[:3]
    return frames - 1, 2, *grid_size((height, width))


def _build_network(
    weights: Mapping[str, "Tensor"],
    source: str,
    crop_size: tuple[int, int],
    *,
    variant: str,
    updates: int,
    scale: float,
) -> "nn.Module":
    """See ``models.raft.clips.build_clip_flow``."""
    from models.raft.clips import build_clip_flow  # noqa: PLC0415  imports torch; plans need none

    return build_clip_flow(
        weights, source, crop_size, variant=variant, updates=updates, scale=scale
    )


def plan(split: str, units: str, data: Path, params: Path) -> Plan:
    """Return the plan for one split.

    Args:
        split: train, val or val_gt.
        units: Slice ``i/n`` of the units to compute; "" = all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Flow)
    engine, run = read_extract(params, units)
    extraction = plan_extraction(
        stage=STAGE,
        crops=data / "crops" / "hrnet" / split,
        weights_of=lambda _: Path(section.weights),
        build_network=partial(
            _build_network,
            variant=section.variant,
            updates=section.updates,
            scale=section.scale,
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
    """Write the flow of all clips of SPLIT."""
    typer.echo(build(plan(split, units, data, params)))


if __name__ == "__main__":
    app()
