"""Pretrain the tiny HRNet on crops of rendered people: heatmaps of all joints, hidden ones too."""

from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from torch import Tensor, nn

from models.hrnet.network import build_hrnet
from pipeline.core.params import Section, read_section
from pipeline.core.skeleton import JOINTS
from pretrain.crops import Batch, Crops, batches
from pretrain.fitting import Fitting, fit
from pretrain.scenes import read_scenes

app = typer.Typer(add_completion=False)


class HRNet(Section):
    """Params of this run."""

    variant: str
    """Variant of models/hrnet/network.py."""
    scenes: list[str]
    """Sets of rendered videos that it is trained on."""
    crops: Crops
    """Its crops."""
    fitting: Fitting
    """Its run."""


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    images, targets = batch
    heatmaps: Tensor = network(images.contiguous(memory_format=torch.channels_last)).heatmaps
    # Per joint and crop the sum of squares of a target is about 7: the mean over cells is scaled
    # to be of the order of 1.
    return 100 * (heatmaps.float() - targets).square().mean()


@app.command()
def main(
    scenes: Annotated[Path, typer.Option(help="Folder of scenes.")] = Path("pretrain/out/scenes"),
    out: Annotated[Path, typer.Option(help="Weights to write.")] = Path(
        "pretrain/out/hrnet.safetensors"
    ),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("pretrain/params.yaml"),
) -> None:
    """Fit the network and write the average of its weights to OUT."""
    run = read_section(params, "hrnet", HRNet)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(run.fitting.seed)
    parts = [read_scenes(scenes / video_set) for video_set in run.scenes]
    source = batches(parts, run.crops, run.fitting.batch)
    fit(build_hrnet(run.variant, len(JOINTS)), _loss, source, run.fitting, out)
    typer.echo(f"{out}: {run.fitting.steps} steps of {run.fitting.batch} crops")


if __name__ == "__main__":
    app()
