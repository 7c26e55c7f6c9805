"""Fine-tune HRNet on the key frames of the train crops, or publish the given weights untouched.

Reads: the crops of hrnet on train, the weights that training starts from.
Writes: data/backbones: hrnet.safetensors; with folds hrnet-fold<f>.safetensors, trained without
the videos of fold f, and folds.json; backbone.json names the network.
Params: ``finetune_backbone``, ``target``, ``train`` and the size of the crops.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field

from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.errors import one_line
from pipeline.core.params import OUT_OF_KEY, read_section
from pipeline.core.schedule import Training
from pipeline.core.skeleton import JOINTS
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import Train
from pipeline.training.backbone import BackboneRun, plan_backbone
from pipeline.training.launch import build_trained

if TYPE_CHECKING:
    from torch import Tensor, nn

app = typer.Typer(add_completion=False)
STAGE = "finetune_backbone"


class FinetuneBackbone(Training):
    """Parameters of this stage; with epochs and steps 0 the weights stay as they are."""

    variant: Literal["tiny", "w32", "w48"]
    """HRNet's variant; ``w48`` is the papers'."""
    weights: Annotated[str, OUT_OF_KEY]
    """safetensors file to start from; its content is part of the key."""
    folds: Annotated[int, Field(ge=1), OUT_OF_KEY]
    """With f > 1, heatmaps of train videos come from a network that has not seen them; 1 is the
    papers' habit, which makes train heatmaps better than any that heads meet later."""


def _build_network(
    weights: Mapping[str, "Tensor"], source: str, *, variant: str, joints: int
) -> "nn.Module":
    """See ``models.hrnet.training.build_backbone``."""
    from models.hrnet.training import build_backbone  # noqa: PLC0415  imports torch; plans need none

    return build_backbone(weights, source, variant=variant, joints=joints)


def plan(data: Path, params: Path) -> Plan:
    """Return the plan of the backbones.

    Args:
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, FinetuneBackbone)
    run = BackboneRun(
        stage=STAGE,
        schedule=section,
        params=section.key_params(),
        variant=section.variant,
        weights=Path(section.weights),
        folds=section.folds,
        crop_size=read_crop_size(params, "hrnet"),
        build=partial(_build_network, variant=section.variant, joints=len(JOINTS)),
    )
    if (section.epochs or section.steps) and section.folds == 1:
        typer.echo(
            f"{STAGE}: folds is 1: heads will learn from heatmaps of videos that the backbone has "
            "seen, which are better than those of any other video",
            err=True,
        )
    return plan_backbone(run, data, params)


@app.command()
@one_line
def main(
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the pose backbone, fine-tuned or as given."""
    processes = read_section(params, "train", Train).processes
    if done := build_trained(plan(data, params), processes, f"stages.{STAGE}"):
        typer.echo(done)


if __name__ == "__main__":
    app()
