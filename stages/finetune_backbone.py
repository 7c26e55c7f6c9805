"""Fine-tune HRNet on the key frames of the train crops, or publish the given weights untouched.

Reads: the crops of hrnet on train, the weights that training starts from.
Writes: data/backbones: hrnet.safetensors; with folds hrnet-fold<f>.safetensors, trained without
the videos of fold f, and folds.json; backbone.json names the network.
Params: ``finetune_backbone``, ``target``, ``train`` and the size of the crops.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from models.hrnet.training import backbone_loss, build_backbone
from pipeline.base.errors import one_line
from pipeline.base.params import OUT_OF_KEY, read_section
from pipeline.caches.crop_size import read_crop_size
from pipeline.runs.backbone import BackboneRun, finetune, publish_untouched
from pipeline.schedule import Training
from pipeline.skeleton import JOINTS

app = typer.Typer(add_completion=False)


class FinetuneBackbone(Training):
    """Parameters of this stage; with epochs and steps 0 the weights stay as they are."""

    variant: Literal["tiny", "w32", "w48"]
    """HRNet's variant; ``w48`` is the papers'."""
    weights: Annotated[str, OUT_OF_KEY]
    """safetensors file to start from; its content is part of the key."""
    folds: Annotated[int, Field(ge=1), OUT_OF_KEY]
    """With f > 1, heatmaps of train videos come from a network that has not seen them; 1 is the
    papers' habit, which makes train heatmaps better than any that heads meet later."""


@app.command()
@one_line
def main(
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the pose backbone, fine-tuned or as given."""
    section = read_section(params, "finetune_backbone", FinetuneBackbone)
    run = BackboneRun(
        section="finetune_backbone",
        training=section,
        params=section.key_params(),
        variant=section.variant,
        weights=Path(section.weights),
        folds=section.folds,
        crop_size=read_crop_size(params, "hrnet"),
        build=partial(build_backbone, variant=section.variant, joints=len(JOINTS)),
        loss=backbone_loss,
    )
    if not (section.epochs or section.steps):
        typer.echo(publish_untouched(run, data))
        return
    if section.folds == 1:
        typer.echo(
            "finetune_backbone: folds is 1: heads will learn from heatmaps of videos that the "
            "backbone has seen, which are better than those of any other video",
            err=True,
        )
    typer.echo(finetune(run, data, params))


if __name__ == "__main__":
    app()
