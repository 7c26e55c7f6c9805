"""Pretrain raft_small on pairs of crops with exact flow: RAFT's sequence loss (Eq. 7).

People count more than the background, whose motion is the camera's and easy: flow is needed
where joints are. Occluded pixels count too; their motion is known here and can be guessed.
"""

from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from pydantic import Field
from torch import Tensor, nn

from models.raft.network import build_raft
from pipeline.base.params import Section, read_section
from pretrain.crops import Crops
from pretrain.fitting import Fitting, fit
from pretrain.pairs import Pairs, read_moving_scenes, training_pairs

app = typer.Typer(add_completion=False)


class Raft(Section):
    """Params of this run."""

    variant: str
    """Variant of models/raft/network.py."""
    updates: Annotated[int, Field(ge=1)]
    """Refinements of the flow while it is fitted."""
    gamma: Annotated[float, Field(gt=0, le=1)]
    """Weight of a refinement's loss relative to the next one's, 0.8 in the paper."""
    background: Annotated[float, Field(ge=0)]
    """Weight of a pixel without a person, relative to one with."""
    scenes: str
    """Purpose whose rendered videos it sees."""
    crops: Crops
    """Its crops."""
    fitting: Fitting
    """Its run."""


def sequence_loss(flows: list[Tensor], pairs: Pairs, gamma: float, background: float) -> Tensor:
    """Return the weighted L1 distance of all refinements to the true flow (RAFT, Eq. 7)."""
    weight = torch.where(pairs.people, 1.0, background)[:, None]
    scale = gamma ** (len(flows) - 1 - torch.arange(len(flows)))
    errors = [(weight * (flow.float() - pairs.flow).abs()).sum() for flow in flows]
    return (scale * torch.stack(errors)).sum() / weight.sum()


@app.command()
def main(
    scenes: Annotated[Path, typer.Option(help="Folder of scenes.")] = Path("pretrain/out/scenes"),
    out: Annotated[Path, typer.Option(help="Weights to write.")] = Path(
        "pretrain/out/raft.safetensors"
    ),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("pretrain/params.yaml"),
) -> None:
    """Fit the network and write the average of its weights to OUT."""
    run = read_section(params, "raft", Raft)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(run.fitting.seed)

    network = build_raft(run.variant, run.updates)

    def loss(_network: nn.Module, pairs: Pairs) -> Tensor:
        flows = network.refinements(pairs.first, pairs.second)
        return sequence_loss(flows, pairs, run.gamma, run.background)

    source = training_pairs(read_moving_scenes(scenes / run.scenes), run.crops, run.fitting.batch)
    fit(network, loss, source, run.fitting, out)
    typer.echo(f"{out}: {run.fitting.steps} steps of {run.fitting.batch} pairs")


if __name__ == "__main__":
    app()
