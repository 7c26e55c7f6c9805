"""Sections of the report: tables and charts of metric files and evaluation tables."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.bootstrap import DRAWS, Gain
from pipeline.report.charts import ChartName, draw_chart
from pipeline.report.page import Grid, PageSection, Row, percent
from pipeline.report.papers import COLUMNS, paper_rows
from pipeline.report.summary import summarize
from pipeline.report.timings import StageTiming

Metrics = Mapping[str, Mapping[str, Any]]
"""Content of data/metrics/<system>.json by system."""

SPLITS = {
    "val": "detected boxes",
    "val_gt": "ground-truth boxes",
    "val_hard": "detected boxes, hard subset",
    "val_gt_hard": "ground-truth boxes, hard subset",
}

BOXES_NOTE = (
    "The person boxes alone change AP by several points (HRNet-W48 on PoseTrack18: 84.6 with"
    " ground-truth boxes, 77.8 with a detector's boxes), so both splits are shown. Rows in italics"
    " quote the papers, which use their own boxes and data sets. Nothing here was measured on"
    " PoseTrack unless the title of this page says so."
)
HARD_NOTE = (
    "Frames with the highest CrowdPose crowd index. The papers' Challenging-PoseTrack (806 frames)"
    " was never published, so these are not the same frames and cannot be compared."
)
OKS_NOTE = "Average precision and recall by object keypoint similarity (pycocotools), in percent."
ACCELERATION_NOTE = (
    "Jitter: mean norm of the difference of predicted and true acceleration, over the joints of"
    " people who are labeled and matched in three frames, and the mean acceleration of the ground"
    " truth over the same joints, in pixels and in head sizes per frame squared (after HMMR,"
    " Kanazawa et al., CVPR 2019). If no three consecutive frames are labeled, the title says how"
    " far apart the frames are; such values cannot be compared with those of consecutive frames."
    " A dash: no such frames have the same matched person."
)
GAINS_NOTE = (
    "Difference of mean AP, in points. The 95 % interval comes from a paired bootstrap over whole"
    f" validation videos ({DRAWS} resamples)."
)
ONE_VIDEO_NOTE = " There is one validation video; an interval needs at least two."
TAGS_NOTE = (
    "Mean AP on val_gt. The renderer draws the degradation of each frame independently of its"
    " labels."
)
CURVES_NOTE = (
    "Precision and recall of each joint on val_gt. Below: heatmap loss of every training, each"
    " point the mean of several steps."
)
ERRORS_NOTE = "Percent of ground-truth joints on val_gt, after Ronchi and Perona (ICCV 2017)."


def result_sections(
    metrics: Metrics, dataset: str, heads: Collection[str] = ()
) -> list[PageSection]:
    """Return AP of all systems beside the papers' rows, AP of the hard subset, and OKS AP.

    Args:
        metrics: Metric files by system, in the order of the rows.
        dataset: ``data.name``.
        heads: Systems whose rows are highlighted.
    """
    quoted = [
        Row((row.method, *(percent(value) for value in row.values)), "paper")
        for row in paper_rows(dataset)
    ]
    main = tuple(_result_grid(metrics, split, heads, quoted) for split in ("val", "val_gt"))
    hard = tuple(_result_grid(metrics, split, heads) for split in ("val_hard", "val_gt_hard"))
    means = [row for row in summarize(metrics)["mean_ap"] if row["mean_ap"] is not None]
    charts = (_chart("mean_ap", "Mean AP", means),) if means else ()
    oks = (_oks_grid(metrics, heads),)
    return [
        PageSection("results", "PoseTrack AP", BOXES_NOTE, tables=main, charts=charts),
        PageSection("hard", "Hard subset", HARD_NOTE, tables=hard),
        PageSection("oks", "OKS AP", OKS_NOTE, tables=oks),
    ]


def acceleration_section(metrics: Metrics, heads: Collection[str] = ()) -> PageSection:
    """Return the acceleration error of all systems beside the acceleration of the ground truth.

    Args:
        metrics: Metric files by system, in the order of the rows.
        heads: Systems whose rows are highlighted.
    """
    tables = tuple(_acceleration_grid(metrics, split, heads) for split in ("val", "val_gt"))
    return PageSection("acceleration", "Acceleration error", ACCELERATION_NOTE, tables=tables)


def gain_section(gains: Mapping[tuple[str, str, str], Gain | None]) -> PageSection:
    """Return the gains of the heads over baselines and controls.

    Args:
        gains: By (split, head, baseline or control); None where a system has no AP.
    """
    rows = [Row((*names, *gain_cells(gain))) for names, gain in gains.items()]
    columns = ("split", "head", "compared with", "gain", "95 % from", "95 % to")
    found = [gain for gain in gains.values() if gain is not None]
    note = GAINS_NOTE
    if found and all(gain.interval is None for gain in found):
        note += ONE_VIDEO_NOTE
    grid = Grid(columns, tuple(rows))
    return PageSection("gains", "Gains over baselines and controls", note, tables=(grid,))


def tag_section(metrics: Metrics, heads: Collection[str] = ()) -> PageSection | None:
    """Return mean AP by degradation and by visibility, or None if frames have no tags."""
    first = next(iter(metrics.values()))["val_gt"]
    if "tags" not in first:
        return None
    tags = list(first["tags"])
    rows = []
    for system, values in metrics.items():
        split = values["val_gt"]
        cells = [percent(split["tags"].get(tag, {}).get("ap_total")) for tag in tags]
        cells += [percent(split[kind]["ap_total"]) for kind in ("visible", "occluded")]
        rows.append(Row((system, *cells), _kind(system, heads)))
    grid = Grid(("system", *tags, "visible joints", "occluded joints"), tuple(rows))
    return PageSection("tags", "AP by degradation and visibility", TAGS_NOTE, tables=(grid,))


def curve_section(curves: pd.DataFrame, training: pd.DataFrame) -> PageSection:
    """Return precision-recall curves on val_gt and the loss curves of the trainings.

    Args:
        curves: Columns ``system``, ``joint``, ``recall`` and ``precision``, both within [0, 1].
        training: Columns ``system``, ``step``, ``quantity`` and ``value``, as from
            ``plots.training_table``; empty where nothing was trained.
    """
    charts = []
    if len(curves):
        charts.append(_chart("precision_recall", "Precision and recall", curves.to_dict("records")))
    if len(training):
        charts.append(_chart("loss", "Heatmap loss during training", training.to_dict("records")))
    return PageSection("curves", "Curves", CURVES_NOTE, charts=tuple(charts))


def error_section(errors: pd.DataFrame, heads: Collection[str] = ()) -> PageSection:
    """Return the share of each kind of error on val_gt.

    Args:
        errors: Columns ``system``, ``joint``, ``kind`` and ``count``.
        heads: Systems whose rows are highlighted.
    """
    totals = errors.groupby(["system", "kind"], sort=False)["count"].sum().reset_index()
    labels = totals.groupby("system")["count"].transform("sum")
    totals["share"] = totals["count"] / labels.clip(lower=1)
    kinds = list(dict.fromkeys(totals["kind"]))
    shares = totals.pivot_table(index="system", columns="kind", values="share", sort=False)
    rows = [
        Row(
            (str(system), *(percent(100 * float(row[kind])) for kind in kinds)),
            _kind(str(system), heads),
        )
        for system, row in shares.iterrows()
    ]
    rows_of_chart = totals[["system", "kind", "share"]].to_dict("records")
    chart = _chart("error_kinds", "Kinds of error", rows_of_chart)
    grid = Grid(("system", *kinds), tuple(rows))
    return PageSection("errors", "Kinds of error", ERRORS_NOTE, tables=(grid,), charts=(chart,))


def provenance_section(provenance: Mapping[str, Mapping[str, Any]]) -> PageSection:
    """Return the provenance of the numbers: a row per fact, a column per system."""
    flat = {system: flatten_facts(values) for system, values in provenance.items()}
    facts = list(dict.fromkeys(fact for values in flat.values() for fact in values))
    rows = [
        Row((fact, *(values.get(fact, "-") for values in flat.values())))
        for fact in facts
        if fact != "system"
    ]
    grid = Grid(("fact", *flat), tuple(rows))
    return PageSection("provenance", "Provenance", tables=(grid,))


def timing_section(timings: Sequence[StageTiming]) -> PageSection:
    """Return seconds and bytes of the units that this machine computed, by stage."""
    rows = tuple(
        Row(
            (
                one.stage,
                str(one.units),
                f"{one.seconds:.1f}",
                f"{one.longest:.2f}",
                f"{one.bytes / 1e6:.1f}",
            )
        )
        for one in timings
    )
    columns = ("stage", "units computed", "total seconds", "slowest unit, seconds", "MB")
    return PageSection("timings", "Units computed here", tables=(Grid(columns, rows),))


def flatten_facts(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as texts by their dotted names; digests are shortened."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten_facts(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _short(value)
    return flat


def gain_cells(gain: Gain | None) -> tuple[str, str, str]:
    """Return the mean of a gain and the ends of its interval as the cells of a row."""
    if gain is None:
        return ("-", "-", "-")
    low, high = ("-", "-") if gain.interval is None else (f"{end:+.1f}" for end in gain.interval)
    return (f"{gain.mean:+.1f}", low, high)


def _result_grid(
    metrics: Metrics, split: str, heads: Collection[str], quoted: Sequence[Row] = ()
) -> Grid:
    rows = [
        Row(
            (system, *(percent(values[split]["groups"][column]) for column in COLUMNS)),
            _kind(system, heads),
        )
        for system, values in metrics.items()
    ]
    frames = next(iter(metrics.values()))[split]["n_frames_used"]
    title = f"{split}: {SPLITS[split]}, {frames} frames"
    return Grid(("system", *COLUMNS), (*rows, *quoted), title)


def _oks_grid(metrics: Metrics, heads: Collection[str]) -> Grid:
    names = ("AP", "AP50", "AP75", "AR")
    rows = []
    for system, values in metrics.items():
        found = [values[split]["oks"] or {} for split in ("val", "val_gt")]
        cells = [percent(oks.get(name)) for oks in found for name in names]
        rows.append(Row((system, *cells), _kind(system, heads)))
    columns = [f"{split} {name}" for split in ("val", "val_gt") for name in names]
    return Grid(("system", *columns), tuple(rows))


def _acceleration_grid(metrics: Metrics, split: str, heads: Collection[str]) -> Grid:
    rows = []
    for system, values in metrics.items():
        found = values[split]["acceleration"]
        cells = [
            percent(found[unit][name], digits)
            for unit, digits in (("pixels", 2), ("heads", 3))
            for name in ("error", "truth")
        ]
        rows.append(Row((system, *cells, str(found["n_joints"])), _kind(system, heads)))
    units = ("pixels", "heads")
    columns = [f"{name}, {unit}" for unit in units for name in ("error", "ground truth")]
    step = next(iter(metrics.values()))[split]["acceleration"]["step"]
    spacing = {None: "no equally spaced frames", 1: "consecutive frames"}
    title = f"{split}: {SPLITS[split]}, {spacing.get(step, f'frames {step} apart')}"
    return Grid(("system", *columns, "joints"), tuple(rows), title)


def _kind(system: str, heads: Collection[str]) -> str:
    return "head" if system in heads else ""


def _chart(name: ChartName, title: str, rows: Sequence[Mapping[Any, Any]]) -> Markup:
    return Markup(draw_chart(name, title, rows))  # noqa: S704  SVG by Vega, which escapes its texts


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    # The metric files contain the complete digest.
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_digest else text
