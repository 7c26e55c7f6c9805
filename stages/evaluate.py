"""Measure one system: PoseTrack AP, OKS AP, acceleration error, subsets and kinds of error.

Reads: the annotation files, data/index, data/boxes/val.parquet, the weights that the system runs
on, and data/predictions/<system>/{val,val_gt}.
Writes: data/evaluation/<system>/ with curves.parquet, videos.parquet, errors.parquet, metrics.json
and provenance.json; copies of the latter two in data/metrics; data/units/evaluate/<system>.json.
Params: ``evaluate``; ``data`` and those that ``provenance`` states.

The unit is the system.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import pyarrow as pa
import typer
from pydantic import Field

from pipeline.core.atomic_file import write_file
from pipeline.core.data_set import DataSet, read_data_set
from pipeline.core.errors import one_line
from pipeline.core.params import Section, read_params, read_section
from pipeline.core.posetrack.annotations import empty_head_warning
from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.publishing.build import build
from pipeline.core.skeleton import GROUPS
from pipeline.core.system_params import has_weights, training_section
from pipeline.core.tables.parquet import read_table, write_table
from pipeline.core.tables.schemas import BOXES, PEOPLE, VIDEOS
from pipeline.core.units.key import KeyParts, make_unit, modules_digest, stage_pins
from pipeline.core.units.options import RunOptions
from pipeline.core.units.plan import Plan, UnitFolders
from pipeline.core.units.receipts import hash_file
from pipeline.evaluation.evaluation import SplitResult, evaluate_split
from pipeline.evaluation.metrics.box_recall import box_recall
from pipeline.evaluation.metrics.posetrack_pool import VideoPair
from pipeline.evaluation.provenance import label_version, lookup, weight_digests
from pipeline.evaluation.releases import refuse_other_release

app = typer.Typer(add_completion=False)
DATA = Path("data")
STAGE = "evaluate"
SPLITS = ("val", "val_gt")
METRICS, PROVENANCE = "metrics.json", "provenance.json"
_BYTES = 100_000

STATED = {
    "detector": "detect.kind",
    "box_score_min": "detect.score_min",
    "key_frames": "crop.key_frames",
    "gap": "crop.gap",
    "variants": "crop.variants",
    "box_jitter": "crop.jitter",
    "augment_seed": "crop.augment.seed",
    "flip": "predict.flip",
    "folds": "finetune_backbone.folds",
    "decode": "predict.decode",
    "score_rule": "predict.score",
    "weights": "predict.weights",
}
"""Params that a number is worth little without, by what provenance calls them."""

CURVES = pa.schema(
    {
        "split": pa.string(),
        "joint": pa.string(),
        "recall": pa.float64(),
        "precision": pa.float64(),
        "score": pa.float64(),
    }
)
VIDEO_SCORES = pa.schema(
    {
        "split": pa.string(),
        "video": pa.string(),
        "n_frames_used": pa.int64(),
        "n_gt": pa.int64(),
        **dict.fromkeys((*GROUPS, "Mean"), pa.float64()),
    }
)
ERRORS = pa.schema(
    {
        "split": pa.string(),
        "joint": pa.string(),
        "kind": pa.string(),
        "count": pa.int64(),
        "share": pa.float64(),
    }
)
TABLES = {"curves": CURVES, "videos": VIDEO_SCORES, "errors": ERRORS}


class Evaluate(Section):
    """Params of this stage."""

    protocol: Literal["poseval", "posetrack21"]
    """Whose rules hold: poseval for PoseTrack 2017 and 2018, posetrack21 for PoseTrack21."""
    hard_share: Annotated[float, Field(gt=0, le=1)]
    """Share of the labeled frames, those of the highest crowd index, in the hard subset."""
    curve_points: Annotated[int, Field(ge=2)]
    """Most points that are kept of a precision-recall curve."""


@dataclass(frozen=True, slots=True)
class EvaluateTask:
    """Computes metrics, provenance and evaluation tables of one system, the only unit."""

    section: Evaluate
    data: DataSet
    facts: Mapping[str, Any]
    """Provenance that does not depend on the predictions."""

    def __call__(self, name: str, folder: Path) -> None:
        """Write all files of the system ``name`` into ``folder``."""
        results = {split: _evaluate(name, split, self.data, self.section) for split in SPLITS}
        metrics = {split: result.metrics for split, result in results.items()}
        metrics |= {f"{split}_hard": result.hard for split, result in results.items()}
        for table, schema in TABLES.items():
            write_table(folder / f"{table}.parquet", _joined(results, table), schema)
        _write_json(folder / METRICS, metrics)
        _write_json(folder / PROVENANCE, self.facts)


def plan(system: str, params: Path) -> Plan:
    """Return the plan of one system.

    Args:
        system: Name of the system.
        params: The params file.
    """
    section = read_section(params, STAGE, Evaluate)
    data = read_data_set(params)
    facts = _provenance(system, section, data, params)
    modules = [f"stages.{STAGE}"]
    parts = KeyParts(
        stage=STAGE,
        params=section.key_params() | {"facts": facts},
        modules=modules_digest(modules),
        pins=stage_pins(modules),
        weights={},
        device="cpu",
        dtype="float64",
        batch=1,
        clips=hash_file(DATA / "index" / "videos.parquet"),
        frames={},
        inputs={
            f"{split}/{file.name}": hash_file(file)
            for split in SPLITS
            for file in sorted((DATA / "predictions" / system / split).glob("*.json"))
        },
    )
    return Plan(
        stage=STAGE,
        modules=modules,
        out=DATA / "evaluation" / system,
        listing=DATA / "units" / STAGE / f"{system}.json",
        units=[make_unit(system, parts, _BYTES, place="")],
        make_task=partial(EvaluateTask, section, data, facts),
        run=RunOptions(engine="direct"),
        # Git tracks them: copies, which a merge may write into.
        further={
            DATA / "metrics" / f"{system}.json": partial(_copy, system, METRICS),
            DATA / "metrics" / f"{system}.provenance.json": partial(_copy, system, PROVENANCE),
        },
    )


@app.command()
@one_line
def main(
    system: Annotated[str, typer.Option(help="Name of the system.")],
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write metrics, provenance and evaluation tables of SYSTEM."""
    done = build(plan(system, params))
    metrics = json.loads((done.plan.out / METRICS).read_text(encoding="utf-8"))
    means = ", ".join(f"{split} {_percent(metrics[split]['ap_total'])}" for split in SPLITS)
    typer.echo(f"{STAGE}: {system}: AP {means}")
    typer.echo(done)


def _evaluate(system: str, split: str, data: DataSet, section: Evaluate) -> SplitResult:
    videos = read_table(DATA / "index" / "videos.parquet", VIDEOS)
    videos = videos[videos["split"] == "val"]
    predictions = DATA / "predictions" / system / split
    pairs = []
    for video, annotation in zip(videos["video"], videos["annotation"], strict=True):
        truth = read_annotations(Path(data.annotations) / annotation)
        refuse_other_release(data.name, truth.path, truth.format)
        if (message := empty_head_warning(truth)) and split == SPLITS[0]:
            typer.echo(f"{STAGE}: {message}", err=True)
        pairs.append(VideoPair(video, truth, read_predictions(predictions / f"{video}.json")))
    return evaluate_split(
        pairs,
        section.protocol,
        hard_share=section.hard_share,
        curve_points=section.curve_points,
    )


def _provenance(system: str, section: Evaluate, data: DataSet, params: Path) -> dict[str, Any]:
    """State what made the numbers; nothing in it depends on when or where they were made."""
    values = read_params(params)
    stated = STATED | {"seed": f"{training_section(values, system)}.seed"}
    boxes = read_table(DATA / "boxes" / "val.parquet", BOXES)
    people = read_table(DATA / "index" / "people.parquet", PEOPLE)
    weights = DATA / "runs" / system if has_weights(values, system) else DATA / "backbones"
    facts = {name: lookup(values, key, params) for name, key in stated.items()}
    return facts | {
        "system": system,
        "protocol": section.protocol,
        "hard_share": section.hard_share,
        "data_set": data.name,
        "labels": label_version(Path(data.annotations)),
        "box_source": {"val": "+".join(sorted(set(boxes["source"]))), "val_gt": "ground truth"},
        "box_recall": box_recall(people[people["split"] == "val"], boxes),
        "weights_sha256": weight_digests(weights),
    }


def _joined(results: dict[str, SplitResult], name: str) -> pd.DataFrame:
    parts = [getattr(result, name).assign(split=split) for split, result in results.items()]
    table: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return table


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_file(path, text.encode())


def _copy(system: str, name: str, units: UnitFolders, path: Path) -> None:
    write_file(path, (units[system] / name).read_bytes())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    app()
