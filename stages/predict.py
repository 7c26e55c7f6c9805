"""Predict with one system on one split: every person's joints in the image's pixels.

Reads: the caches of the split that the system reads, their clip table, data/index, the ground
truth's files for their form and frames, and data/runs/<system>.
Writes: data/predictions/<system>/<split>: <video>.json in the ground truth's own form, one entry
per frame in its order, and predictions.parquet; data/units/predict/<system>-<split>.json.
Params: ``predict``, the system's own section and the size of the crops.

The unit is a video. Batches never cross one, so that a video's predictions do not depend on others.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from models.heads.build import build_head
from pipeline.base.errors import one_line
from pipeline.base.params import Section, read_section
from pipeline.caches.crop_size import read_crop_size
from pipeline.data_set import read_data_set
from pipeline.head_params.systems import SystemName, read_system
from pipeline.heatmap import Decoding
from pipeline.networks.devices import device_type
from pipeline.prediction.task import Prediction, Reading, ScoreRule
from pipeline.prediction.units import plan_units, read_videos, write_table_of
from pipeline.publishing.build import build
from pipeline.skeleton import JOINTS
from pipeline.units.plan import Plan
from pipeline.units.run_time import read_extract

app = typer.Typer(add_completion=False)
STAGE = "predict"
VIDEOS_PER_WORKER = 16
"""A head predicts about so many short videos while one more worker starts."""


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


def plan(
    system: SystemName, split: Literal["val", "val_gt"], units: str, data: Path, params: Path
) -> Plan:
    """Return the plan for one system and split.

    Args:
        system: Which system.
        split: Whose boxes.
        units: Slice ``i/n`` of the units to compute; "" = all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Predict)
    engine, run = read_extract(params, units)
    described = read_system(params, system)
    crop_size = read_crop_size(params, described.crops)
    file = "weights.safetensors" if section.weights == "last" else "best.safetensors"
    prediction = Prediction(
        folders={kind: data / kind / split for kind in described.kinds},
        frames=described.frames,
        weights=None if system == "hrnet" else data / "runs" / system / file,
        build_head=partial(
            build_head,
            system=system,
            arguments=described.arguments,
            joints=len(JOINTS),
            frames=described.frames,
            crop_size=crop_size,
        ),
        videos=read_videos(
            data, split, described.crops, Path(read_data_set(params).annotations), section.flip
        ),
        reading=Reading(
            decoding=section.decode,
            blur=section.blur,
            score=section.score,
            flip=section.flip,
            batch=section.batch,
        ),
        device=device_type(engine.device),
    )
    planned = plan_units(
        prediction,
        {
            "predict": section.key_params(),
            "system": system,
            "arguments": dict(described.arguments),
            "crop_size": list(crop_size),
        },
    )
    return Plan(
        stage=STAGE,
        modules=[f"stages.{STAGE}"],
        out=data / "predictions" / system / split,
        listing=data / "units" / STAGE / f"{system}-{split}.json",
        units=planned,
        make_task=prediction,
        run=run.with_a_worker_per(VIDEOS_PER_WORKER, len(planned)),
        finish=partial(write_table_of, prediction.videos),
    )


@app.command()
@one_line
def main(
    system: Annotated[SystemName, typer.Option(help="Which system.")],
    split: Annotated[Literal["val", "val_gt"], typer.Option(help="Whose boxes.")],
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the predictions of SYSTEM for SPLIT."""
    typer.echo(build(plan(system, split, units, data, params)))


if __name__ == "__main__":
    app()
