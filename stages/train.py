"""Train the head of one system on the cached tensors of the train split.

Reads: the caches of the train split that the system reads, and their clip table.
Writes: data/runs/<system>: weights.safetensors (last step, float32), history.csv and, with
``train.holdout``, best.safetensors; for a system without parameters only an empty history.csv.
The unit and its key are listed in data/units/train/<system>.json.
Params: ``train_<system>``, for a control also the schedule of its head, ``target``, ``train`` and
the size of the crops.

The unit is the run: a finished run is published again without training or torch. A killed run
resumes at its last checkpoint and ends in the same bytes. For several GPUs set ``train.processes``
or run ``torchrun --nproc-per-node=N -m stages.train --system NAME``.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.head_parts.declaration import System
from models.head_parts.lookup import find_system, training_modules
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.errors import one_line
from pipeline.core.params import read_section
from pipeline.core.skeleton import JOINTS
from pipeline.core.system_params import SystemParams, read_arguments, read_system
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import Train
from pipeline.training.head import STAGE, HeadRun, plan_head
from pipeline.training.launch import build_trained

if TYPE_CHECKING:
    from torch import Tensor, nn

app = typer.Typer(add_completion=False)


def plan(system: str, data: Path, params: Path) -> Plan:
    """Return the plan of one system.

    Args:
        system: Name of a folder in models/heads.
        data: Folder of all outs.
        params: The params file.
    """
    declared = find_system(system)
    described = read_system(params, system, declared)
    crop_size = read_crop_size(params, described.crops)
    build = partial(
        _build, params=params, declared=declared, described=described, crop_size=crop_size
    )
    run = HeadRun(
        system=described,
        classes={"network": declared.network, "objective": declared.objective},
        modules=(f"stages.{STAGE}", *training_modules(system)),
        crop_size=crop_size,
        build=build,
        check_weights=partial(_check_weights, build),
    )
    return plan_head(run, data, params)


def _build(
    *,
    params: Path,
    declared: System,
    described: SystemParams,
    crop_size: tuple[int, int],
    shapes: Mapping[str, tuple[int, ...]],
) -> "nn.Module":
    """Check the params and build the head inside the module that computes its loss."""
    from models.head_parts.building import (  # noqa: PLC0415  imports torch; plans need none
        build_objective,
        constructor_params,
    )

    name = described.name
    return build_objective(
        name,
        read_arguments(params, name, declared, constructor_params(name)),
        joints=len(JOINTS),
        frames=described.frames,
        shapes=shapes,
        crop_size=crop_size,
    )


def _check_weights(
    build: "partial[nn.Module]",
    weights: Mapping[str, "Tensor"],
    source: str,
    shapes: Mapping[str, tuple[int, ...]],
) -> None:
    """Check that weights fit the head."""
    from models.base.weights import load_weights  # noqa: PLC0415  imports torch

    load_weights(build(shapes=shapes).get_submodule("head"), weights, source)


@app.command()
@one_line
def main(
    system: Annotated[str, typer.Option(help="Name of a folder in models/heads.")],
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the weights of SYSTEM and the history of their training."""
    processes = read_section(params, "train", Train).processes
    if done := build_trained(plan(system, data, params), processes, f"stages.{STAGE}"):
        typer.echo(done)


if __name__ == "__main__":
    app()
