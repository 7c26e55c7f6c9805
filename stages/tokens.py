"""Tokens: the vision transformer on every frame of every clip.

Reads: the crops of vit, uint8 ``(T, H, W, 3)`` per clip, and the backbone's weights.
Writes: float16 ``(T, N, D)`` per clip, N = H / 16 * W / 16 tokens row by row.
Params: ``tokens``.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field

from models.vit.sizes import PATCH, embed_dim
from pipeline.core.errors import one_line
from pipeline.core.networks.devices import device_type
from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import read_extract
from pipeline.extraction.plan import plan_extraction, plan_store

if TYPE_CHECKING:
    from torch import Tensor, nn

app = typer.Typer(add_completion=False)
STAGE = "tokens"


class Tokens(Section):
    """Parameters of this stage."""

    variant: Literal["tiny", "vit_small", "vit_base", "vit_large", "vit_huge"]
    """The paper uses ``vit_large``."""
    weights: Annotated[str, OUT_OF_KEY]
    """safetensors file; its content is part of the key."""
    batch: Annotated[int, Field(ge=1)]
    """Frames per forward pass."""


def _row_shape(crop: tuple[int, ...], *, channels: int) -> tuple[int, ...]:
    frames, height, width = crop[:3]
    return frames, (height // PATCH) * (width // PATCH), channels


def _build_network(
    weights: Mapping[str, "Tensor"], source: str, crop_size: tuple[int, int], *, variant: str
) -> "nn.Module":
    """See ``models.vit.clips.build_clip_tokens``."""
    from models.vit.clips import build_clip_tokens  # noqa: PLC0415  imports torch; plans need none

    return build_clip_tokens(weights, source, crop_size, variant=variant)


def plan(split: str, units: str, data: Path, params: Path) -> Plan:
    """Return the plan for one split.

    Args:
        split: train, val or val_gt.
        units: Slice ``i/n`` of the units to compute; "" = all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Tokens)
    engine, run = read_extract(params, units)
    extraction = plan_extraction(
        stage=STAGE,
        crops=data / "crops" / "vit" / split,
        weights_of=lambda _: Path(section.weights),
        build_network=partial(_build_network, variant=section.variant),
        row_shape=partial(_row_shape, channels=embed_dim(section.variant)),
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
    """Write the tokens of all clips of SPLIT."""
    typer.echo(build(plan(split, units, data, params)))


if __name__ == "__main__":
    app()
