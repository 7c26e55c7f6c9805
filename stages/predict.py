"""Predict the joints of all people in val and val_gt with one system, in image pixels.

Reads: the system's caches of both splits, their clip tables, data/index, the ground-truth files
(format and frames), and data/runs/<system>.
Writes: data/predictions/<system>/<split>: <video>.json in the format of the ground truth, one entry
per frame in the same order, and predictions.parquet; data/units/predict/<system>.json.
Params: ``predict``, ``train_<system>`` and the size of the crops.

The unit is a video of a split. Batches do not mix videos, so that the predictions of a video do
not depend on other videos.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field

from models.head_parts.lookup import find_system, prediction_modules
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.data_set import read_data_set
from pipeline.core.errors import one_line
from pipeline.core.heatmap import Decoding
from pipeline.core.networks.devices import device_type
from pipeline.core.params import Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.skeleton import JOINTS
from pipeline.core.system_params import SystemParams, read_arguments, read_system
from pipeline.core.units.plan import Plan
from pipeline.core.units.run_time import read_extract
from pipeline.prediction.poses import DecodeConfig, ScoreRule
from pipeline.prediction.prediction import MakePredictTask, Prediction
from pipeline.prediction.units import plan_units, read_videos, write_tables

if TYPE_CHECKING:
    from torch import Tensor, nn

app = typer.Typer(add_completion=False)
STAGE = "predict"
SPLITS = ("val", "val_gt")
VIDEOS_PER_WORKER = 8
"""A trained head takes longer for this many short videos than one more worker takes to start."""


class Predict(Section):
    """Parameters of this stage."""

    decode: Decoding
    """``dark``, ``quarter`` or ``argmax``."""
    blur: Annotated[float, Field(gt=0)]
    """Standard deviation of DARK's Gaussian, cells: 2 in the public code, on 96 x 72 cells."""
    score: ScoreRule
    """A joint's score: ``product`` of its heatmap's maximum and the box's score, or ``joint``."""
    flip: bool
    """Whether heatmaps are averaged with those of the mirrored crop; needs ``crop.mirror``."""
    weights: Literal["last", "best"]
    """``best`` needs ``train.holdout``."""
    batch: Annotated[int, Field(ge=1)]
    """Clips per forward pass."""

    def decode_config(self) -> DecodeConfig:
        """Return the params of the decoding."""
        return DecodeConfig(
            decoding=self.decode,
            blur=self.blur,
            score=self.score,
            flip=self.flip,
            batch=self.batch,
        )


def read_inputs(system: str, data: Path, params: Path) -> dict[str, Prediction]:
    """Return the inputs of a system on every split.

    Args:
        system: Name of a folder in models/heads.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Predict)
    engine, _ = read_extract(params)
    declared = find_system(system)
    described = read_system(params, system, declared)
    crop_size = read_crop_size(params, described.crops)
    annotations = Path(read_data_set(params).annotations)
    file = "weights.safetensors" if section.weights == "last" else "best.safetensors"
    return {
        split: Prediction(
            folders={kind: data / kind / split for kind in described.caches},
            frames=described.frames,
            weights=data / "runs" / system / file if declared.trained else None,
            build_head=partial(_build_head, params, described, crop_size),
            videos=read_videos(data, split, described.crops, annotations, section.flip),
            decoding=section.decode_config(),
            device=device_type(engine.device),
        )
        for split in SPLITS
    }


def plan(system: str, units: str, data: Path, params: Path) -> Plan:
    """Return the plan for one system.

    Args:
        system: Name of a folder in models/heads.
        units: Slice ``i/n`` of the units to compute; "" = all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Predict)
    engine, run = read_extract(params, units)
    declared = find_system(system)
    described = read_system(params, system, declared)
    predictions = read_inputs(system, data, params)
    modules = (f"stages.{STAGE}", *prediction_modules(system))
    planned = plan_units(
        predictions,
        {
            "predict": section.key_params(),
            "system": system,
            "network": declared.network,
            "arguments": dict(described.arguments),
            "frames": described.frames,
            "crop_size": list(read_crop_size(params, described.crops)),
        },
        modules,
    )
    return Plan(
        stage=STAGE,
        modules=modules,
        out=data / "predictions" / system,
        listing=data / "units" / STAGE / f"{system}.json",
        units=planned,
        make_task=MakePredictTask(predictions),
        # Without a head, a video takes milliseconds and one process is enough.
        run=run.on(device_type(engine.device)).with_a_worker_per(
            VIDEOS_PER_WORKER, len(planned) if declared.trained else 0
        ),
        finish=partial(write_tables, predictions),
    )


def _build_head(
    params: Path,
    described: SystemParams,
    crop_size: tuple[int, int],
    weights: Mapping[str, "Tensor"],
    source: str,
    shapes: Mapping[str, tuple[int, ...]],
) -> "nn.Module":
    """Check the params and build the head with its weights, in a worker."""
    from models.head_parts.building import (  # noqa: PLC0415  imports torch; plans need none
        build_head,
        constructor_params,
    )

    name = described.name
    return build_head(
        weights,
        source,
        shapes,
        system=name,
        arguments=read_arguments(params, name, find_system(name), constructor_params(name)),
        joints=len(JOINTS),
        frames=described.frames,
        crop_size=crop_size,
    )


@app.command()
@one_line
def main(
    system: Annotated[str, typer.Option(help="Name of a folder in models/heads.")],
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the predictions of SYSTEM for the splits val and val_gt."""
    typer.echo(build(plan(system, units, data, params)))


if __name__ == "__main__":
    app()
