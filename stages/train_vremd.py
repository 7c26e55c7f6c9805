"""Train VREMD on the cached tokens of the train split.

Reads: data/tokens/train and the clip table data/clips/vit/train.parquet.
Writes: data/runs/vremd: weights.safetensors, the last step's in float32, and history.csv; with
``train.holdout`` best.safetensors.
Params: ``train_vremd``, ``target``, ``train`` and the size of the crops.

Killed and started again, the stage goes on from its last checkpoint to the same bytes. Several
GPUs: ``train.processes``, or ``torchrun --nproc-per-node=N -m stages.train_vremd``.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from models.base.weights import load_weights
from models.heads.vremd.head import build_vremd, token_loss
from pipeline.base.errors import one_line
from pipeline.caches.crop_size import read_crop_size
from pipeline.head_params.vremd import read_vremd, vremd_system
from pipeline.runs.head import HeadRun, run_head
from pipeline.skeleton import JOINTS

app = typer.Typer(add_completion=False)


@app.command()
@one_line
def main(
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write VREMD's weights and the history of their training."""
    section = read_vremd(params)
    system = vremd_system(section)
    crop_size = read_crop_size(params, system.crops)
    run = HeadRun(
        system=system,
        section="train_vremd",
        training=section,
        weights=section.weights,
        params=section.key_params(),
        crop_size=crop_size,
        build=partial(
            build_vremd,
            system.arguments,
            joints=len(JOINTS),
            frames=system.frames,
            crop_size=crop_size,
        ),
        loss=token_loss,
        head=lambda network: network,
        load_weights=load_weights,
    )
    typer.echo(run_head(run, data, params))


if __name__ == "__main__":
    app()
