"""Train one of the networks that JM-Pose and VREMD have to beat, on the same caches.

Reads: data/heatmaps/train (refine, fuse) or data/tokens/train (vit, fuse_vit), and a clip table.
Writes: data/runs/<system>: weights.safetensors, the last step's in float32, and history.csv; with
``train.holdout`` best.safetensors.
Params: ``train_control``, ``target``, ``train`` and the size of the crops.

Killed and started again, the stage goes on from its last checkpoint to the same bytes.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from models.base.weights import load_weights
from models.heads.controls.head import build_control, control_loss
from pipeline.base.errors import one_line
from pipeline.caches.crop_size import read_crop_size
from pipeline.head_params.control import ControlName, control_system, read_control
from pipeline.runs.head import HeadRun, run_head
from pipeline.skeleton import JOINTS

app = typer.Typer(add_completion=False)


@app.command()
@one_line
def main(
    system: Annotated[ControlName, typer.Option(help="Which one to train.")],
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the weights of SYSTEM and the history of their training."""
    section = read_control(params)
    training = section.of(system)
    described = control_system(section, system)
    crop_size = read_crop_size(params, described.crops)
    run = HeadRun(
        system=described,
        section="train_control",
        training=training,
        weights=section.weights,
        params=training.key_params(),
        crop_size=crop_size,
        build=partial(
            build_control,
            system,
            described.arguments,
            joints=len(JOINTS),
            frames=described.frames,
            crop_size=crop_size,
        ),
        loss=control_loss,
        head=lambda network: network,
        load_weights=load_weights,
    )
    typer.echo(run_head(run, data, params))


if __name__ == "__main__":
    app()
