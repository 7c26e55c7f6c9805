"""Pretrain raft_small on pairs of crops with exact motion: RAFT's sequence loss (Eq. 7).

People count more than the background, whose motion is the camera's and easy. Flow is needed where
joints are, also where somebody else's arm hides them: a second term holds the flow at each joint,
averaged as the heatmap's cells average it, to the joint's own step. Pixels of people who go out of
sight count, too, since their motion is known here and can be guessed; hidden background and what
covers limbs in a single frame do not.
"""

from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from pydantic import Field
from torch import Tensor, nn

from models.base.weights import load_weights
from models.raft.network import build_raft
from pipeline.core.networks.weights import read_weights
from pipeline.core.params import Section, read_section
from pretrain.crops import Crops
from pretrain.fitting import Fitting, fit
from pretrain.measure import joint_errors
from pretrain.pairs import Pairs, read_moving_scenes, training_pairs

app = typer.Typer(add_completion=False)


class Raft(Section):
    """Params of this run."""

    variant: str
    """Variant of models/raft/network.py."""
    updates: Annotated[int, Field(ge=1)]
    """Refinements of the flow while it is fitted."""
    scale: Annotated[float, Field(ge=1)]
    """Factor on the crops, as ``flow.scale`` of the pipeline."""
    gamma: Annotated[float, Field(gt=0, le=1)]
    """Weight of a refinement's loss relative to the next one's, 0.8 in the paper."""
    background: Annotated[float, Field(ge=0)]
    """Weight of a pixel without a person, relative to one with."""
    joints: Annotated[float, Field(ge=0)]
    """Weight of the mean error at joints, relative to that of pixels."""
    shaken: Annotated[float, Field(ge=0, le=1)]
    """Share of the pairs whose second crop is moved at random."""
    start: str | None
    """Weights to begin from; random ones where absent."""
    scenes: str
    """Set of rendered videos that it is trained on."""
    crops: Crops
    """Its crops."""
    fitting: Fitting
    """Its run."""


def sequence_loss(flows: list[Tensor], pairs: Pairs, run: Raft) -> Tensor:
    """Return the weighted distance of all refinements to the true motion (RAFT, Eq. 7)."""
    weight = torch.where(pairs.people, 1.0, run.background * pairs.in_sight)[:, None]
    scale = run.gamma ** (len(flows) - 1 - torch.arange(len(flows)))
    errors = [
        (weight * (flow.float() - pairs.flow).abs()).sum() / weight.sum()
        + run.joints * joint_errors(flow.float(), pairs).mean()
        for flow in flows
    ]
    return (scale * torch.stack(errors)).sum()


@app.command()
def main(
    section: Annotated[str, typer.Argument(help="Section of the params: raft or raft_gaps.")],
    scenes: Annotated[Path, typer.Option(help="Folder of scenes.")] = Path("pretrain/out/scenes"),
    out: Annotated[Path, typer.Option(help="Folder of the weights.")] = Path("pretrain/out"),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("pretrain/params.yaml"),
) -> None:
    """Fit the network of SECTION and write the average of its weights to OUT."""
    run = read_section(params, section, Raft)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(run.fitting.seed)

    network = build_raft(run.variant, run.updates, run.scale)
    if run.start is not None:
        weights = read_weights(Path(run.start))
        load_weights(network, {name: one.float() for name, one in weights.items()}, run.start)

    def loss(_network: nn.Module, pairs: Pairs) -> Tensor:
        return sequence_loss(network.refinements(pairs.first, pairs.second), pairs, run)

    moving = read_moving_scenes(scenes / run.scenes)
    source = training_pairs(moving, run.crops, run.fitting.batch, run.shaken)
    file = out / f"{section}.safetensors"
    fit(network, loss, source, run.fitting, file)
    typer.echo(f"{file}: {run.fitting.steps} steps of {run.fitting.batch} pairs")


if __name__ == "__main__":
    app()
