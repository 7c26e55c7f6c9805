"""Train JM-Pose on the cached heatmaps and flow of the train split.

Reads: data/heatmaps/train, data/flow/train (with ``motion: features`` data/features/train in its
place), and the clip table data/clips/hrnet/train.parquet.
Writes: data/runs/jmpose: weights.safetensors, the last step's in float32, and history.csv; with
``train.holdout`` best.safetensors.
Params: ``train_jmpose``, ``target``, ``train`` and the size of the crops.

Killed and started again, the stage goes on from its last checkpoint to the same bytes. Several
GPUs: ``train.processes``, or ``torchrun --nproc-per-node=N -m stages.train_jmpose``.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from models.base.weights import load_weights
from models.heads.jmpose.head import build_jmpose_training, head_of, jmpose_loss
from pipeline.base.errors import one_line
from pipeline.caches.crop_size import read_crop_size
from pipeline.head_params.jmpose import jmpose_system, read_jmpose
from pipeline.runs.head import HeadRun, run_head
from pipeline.skeleton import JOINTS

app = typer.Typer(add_completion=False)


@app.command()
@one_line
def main(
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write JM-Pose's weights and the history of their training."""
    section = read_jmpose(params)
    system = jmpose_system(section)
    crop_size = read_crop_size(params, system.crops)
    run = HeadRun(
        system=system,
        section="train_jmpose",
        training=section,
        weights=section.weights,
        params=section.key_params(),
        crop_size=crop_size,
        build=partial(
            build_jmpose_training,
            system.arguments,
            joints=len(JOINTS),
            frames=system.frames,
            crop_size=crop_size,
            estimator=section.estimator,
            alpha=section.alpha,
        ),
        loss=jmpose_loss,
        head=head_of,
        load_weights=load_weights,
    )
    typer.echo(run_head(run, data, params))


if __name__ == "__main__":
    app()
