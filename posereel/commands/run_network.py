"""Run an imported network on an array of crops.

IN.npy holds uint8 RGB crops: ``(N, H, W, 3)`` for HRNet and ViTPose, pairs ``(N, 2, H, W, 3)`` for
RAFT. OUT.npy gets, in float32, heatmaps ``(N, 15, H / 4, W / 4)``, tokens ``(N, H / 16 * W / 16,
D)``, or the flow from the first to the second of each pair, (dx, dy) in pixels, ``(N, 2, H, W)``.
"""

import io
from pathlib import Path
from typing import Annotated, Literal

import typer


def main(
    name: Annotated[str, typer.Argument(help="Name of weights in data/weights.")],
    source: Annotated[Path, typer.Argument(metavar="IN.npy", help="uint8 RGB crops.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npy", help="Array to write.")],
    batch: Annotated[int, typer.Option(min=1, help="Crops or pairs per forward pass.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="RAFT's refinement steps.")] = 20,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device.")] = "auto",
    weights: Annotated[Path, typer.Option(help="Folder of weights.")] = Path("data/weights"),
) -> None:
    """Write the outputs of the network NAME for the crops in IN.npy to OUT.npy."""
    import numpy as np

    from pipeline.core.atomic_file import write_file
    from posereel.imported_network import run_network

    values = run_network(name, source, weights, batch=batch, updates=updates, device=device)
    out.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.save(content, values)
    write_file(out, content.getvalue())
    typer.echo(f"run-network: wrote {values.shape} of {name} to {out}")
