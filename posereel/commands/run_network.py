"""Run an imported network on an array of crops.

IN.npy holds crops, uint8 RGB; OUT.npy gets float32:

- HRNet: crops (N, H, W, 3), heatmaps (N, 15, H / 4, W / 4). The rows are
nose, head_bottom, head_top, left_shoulder, right_shoulder, left_elbow,
right_elbow, left_wrist, right_wrist, left_hip, right_hip, left_knee,
right_knee, left_ankle, right_ankle.

- ViTPose: crops (N, 256, 192, 3), tokens (N, 192, D) in row-major order,
16 rows of 12.

- RAFT: pairs of crops (N, 2, H, W, 3), flow (N, 2, H, W) from the first to
the second crop of each pair, (dx, dy) in pixels.
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
