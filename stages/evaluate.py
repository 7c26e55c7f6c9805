"""Measure one system: PoseTrack AP, OKS AP, the hard subset, degradations and kinds of error.

Reads: the annotation files, data/index, data/boxes/val.parquet, the weights that the system runs
on, and data/predictions/<system>/{val,val_gt}.
Writes: data/metrics/<system>.json and <system>.provenance.json, and data/evaluation/<system>/ with
curves.parquet, videos.parquet and errors.parquet.
Params: ``evaluate``; ``data`` and those that ``provenance`` states.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import pyarrow as pa
import typer
from pydantic import Field

from pipeline.base.atomic_file import write_file
from pipeline.base.errors import one_line
from pipeline.base.params import Section, read_params, read_section
from pipeline.data_set import DataSet, read_data_set
from pipeline.evaluation.evaluation import SplitResult, evaluate_split
from pipeline.evaluation.metrics.box_recall import box_recall
from pipeline.evaluation.metrics.posetrack_pool import VideoPair
from pipeline.evaluation.provenance import label_version, lookup, weight_digests
from pipeline.evaluation.releases import refuse_other_release
from pipeline.posetrack.reader import read_annotations, read_predictions
from pipeline.skeleton import GROUPS
from pipeline.tables.parquet import read_table, write_table
from pipeline.tables.schemas import BOXES, PEOPLE, VIDEOS

app = typer.Typer(add_completion=False)
DATA = Path("data")
SPLITS = ("val", "val_gt")

TRAINED_BY = {
    "hrnet": "finetune_backbone",
    "refine": "train_control.maps",
    "fuse": "train_control.maps",
    "jmpose": "train_jmpose",
    "vit": "train_control.tokens",
    "fuse_vit": "train_control.tokens",
    "vremd": "train_vremd",
}
"""Where params.yaml describes the training of each system."""

STATED = {
    "detector": "detect.kind",
    "box_score_min": "detect.score_min",
    "key_frames": "crop.key_frames",
    "variants": "crop.variants",
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


class Evaluate(Section):
    """Params of this stage."""

    protocol: Literal["poseval", "posetrack21"]
    """Whose rules hold: poseval for PoseTrack 2017 and 2018, posetrack21 for PoseTrack21."""
    hard_share: Annotated[float, Field(gt=0, le=1)]
    """Share of the labeled frames, those of the highest crowd index, in the hard subset."""
    curve_points: Annotated[int, Field(ge=2)]
    """Most points that are kept of a precision-recall curve."""


@app.command()
@one_line
def main(
    system: Annotated[str, typer.Option(help="Name of the system.")],
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write metrics, provenance and evaluation tables of SYSTEM."""
    if system not in TRAINED_BY:
        raise ValueError(f"expected one of {', '.join(TRAINED_BY)}, got {system!r}")
    section = read_section(params, "evaluate", Evaluate)
    data = read_data_set(params)
    results = {split: _evaluate(system, split, data, section) for split in SPLITS}
    metrics = {split: result.metrics for split, result in results.items()}
    metrics |= {f"{split}_hard": result.hard for split, result in results.items()}
    facts = _provenance(system, section, data, params)
    tables = DATA / "evaluation" / system
    write_table(tables / "curves.parquet", _joined(results, "curves"), CURVES)
    write_table(tables / "videos.parquet", _joined(results, "videos"), VIDEO_SCORES)
    write_table(tables / "errors.parquet", _joined(results, "errors"), ERRORS)
    (DATA / "metrics").mkdir(parents=True, exist_ok=True)
    _write(DATA / "metrics" / f"{system}.provenance.json", facts)
    _write(DATA / "metrics" / f"{system}.json", metrics)
    means = ", ".join(f"{split} {_percent(metrics[split]['ap_total'])}" for split in SPLITS)
    typer.echo(f"evaluate: {system}: {section.protocol} AP {means}; wrote {tables}")


def _evaluate(system: str, split: str, data: DataSet, section: Evaluate) -> SplitResult:
    videos = read_table(DATA / "index" / "videos.parquet", VIDEOS)
    videos = videos[videos["split"] == "val"]
    predictions = DATA / "predictions" / system / split
    pairs = []
    for video, annotation in zip(videos["video"], videos["annotation"], strict=True):
        truth = read_annotations(Path(data.annotations) / annotation)
        refuse_other_release(data.name, truth.path, truth.format)
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
    stated = STATED | {"seed": f"{TRAINED_BY[system]}.seed"}
    boxes = read_table(DATA / "boxes" / "val.parquet", BOXES)
    people = read_table(DATA / "index" / "people.parquet", PEOPLE)
    weights = DATA / "backbones" if system == "hrnet" else DATA / "runs" / system
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


def _write(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_file(path, text.encode())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    app()
