"""Print the parts of a network with parameters and FLOPs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.cost import ModuleCost


def main(
    name: Annotated[str, typer.Argument(help="A backbone, raft, detector, or a trained system.")],
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Print the parts of NAME with what one forward pass over one clip, crop or frame costs."""
    import torch

    from models.cost import module_costs
    from posereel.networks import BACKBONES, example, trained_systems

    names = [*BACKBONES, *trained_systems()]
    if name not in names:
        raise ValueError(f"expected one of {', '.join(names)}, got {name!r}")
    with torch.device("meta"):
        network, inputs = example(name, params)
    for line in _lines(module_costs(network, inputs)):
        typer.echo(line)


def _lines(parts: list["ModuleCost"]) -> list[str]:
    width = max(len(part.name) for part in parts)
    head = f"{'part':{width}}  {'parameters':>12}  {'MFLOP':>12}"
    rows = [
        f"{part.name:{width}}  {part.parameters:>12,}  {part.flops / 1e6:>12,.1f}" for part in parts
    ]
    return [head, *rows]
