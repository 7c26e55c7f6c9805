"""Sections of the report: every table and chart, from metric files and evaluation tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.bootstrap import Gain
from pipeline.report.charts import error_chart, loss_chart, precision_recall_chart
from pipeline.report.page import Grid, PageSection, Row, percent
from pipeline.report.papers import COLUMNS, paper_rows
from pipeline.report.timings import StageTiming

Metrics = Mapping[str, Mapping[str, Any]]
"""Content of data/metrics/<system>.json by system."""

SPLITS = {
    "val": "detected boxes",
    "val_gt": "ground-truth boxes",
    "val_hard": "detected boxes, hard subset",
    "val_gt_hard": "ground-truth boxes, hard subset",
}
OURS = ("jmpose", "vremd")
RIVALS = {"jmpose": ("hrnet", "refine", "fuse"), "vremd": ("vit", "fuse_vit")}
"""Each head's single-frame baseline and the controls it is compared with."""

BOXES_NOTE = (
    "Boxes alone move a system by several points (HRNet-W48 on PoseTrack18: 84.6 with ground-truth"
    " boxes, 77.8 with a detector's), so both are shown. The papers' rows, in italics, are quoted,"
    " on their own boxes and data set; nothing here was measured on PoseTrack unless the title"
    " says so."
)
HARD_NOTE = (
    "Frames with the highest CrowdPose crowd index. The papers' Challenging-PoseTrack (806 frames)"
    " was never published: not the same frames, no comparison."
)
GAINS_NOTE = (
    "Difference of mean AP in points, with a 95 % interval from a paired bootstrap over whole"
    " validation videos (1000 draws)."
)


def result_sections(metrics: Metrics, dataset: str) -> list[PageSection]:
    """Return the AP of all systems on all frames beside the papers' rows, and on the hard subset.

    Args:
        metrics: Metric files by system, in the order of the rows.
        dataset: ``data.name``.
    """
    quoted = [
        Row((row.method, *(percent(value) for value in row.values)), "paper")
        for row in paper_rows(dataset)
    ]
    main = [_result_grid(metrics, split, quoted) for split in ("val", "val_gt")]
    hard = [_result_grid(metrics, split, []) for split in ("val_hard", "val_gt_hard")]
    return [
        PageSection("results", "PoseTrack AP", BOXES_NOTE, tables=tuple(main)),
        PageSection("hard", "Hard subset", HARD_NOTE, tables=tuple(hard)),
        PageSection("oks", "OKS AP", "By pycocotools, percent.", tables=(_oks_grid(metrics),)),
    ]


def gain_section(gains: Mapping[tuple[str, str, str], Gain | None]) -> PageSection:
    """Return the gains of the heads over baselines and controls.

    Args:
        gains: By (split, system, baseline); None where no interval exists.
    """
    rows = [
        Row((split, system, baseline, *gain_cells(gain)))
        for (split, system, baseline), gain in gains.items()
    ]
    grid = Grid(("split", "system", "over", "gain", "from", "to"), tuple(rows))
    return PageSection("gains", "Gains over baseline and controls", GAINS_NOTE, tables=(grid,))


def tag_section(metrics: Metrics) -> PageSection | None:
    """Return mean AP by degradation and by visibility, or None where frames carry no tags."""
    first = next(iter(metrics.values()))["val_gt"]
    if "tags" not in first:
        return None
    tags = list(first["tags"])
    rows = []
    for system, values in metrics.items():
        split = values["val_gt"]
        cells = [percent(split["tags"].get(tag, {}).get("ap_total")) for tag in tags]
        cells += [percent(split[kind]["ap_total"]) for kind in ("visible", "occluded")]
        rows.append(Row((system, *cells), _kind(system)))
    grid = Grid(("system", *tags, "visible joints", "occluded joints"), tuple(rows))
    note = "Mean AP on val_gt. Tags are drawn per frame, whatever its labels are."
    return PageSection("tags", "By degradation and visibility", note, tables=(grid,))


def curve_section(curves: pd.DataFrame, history: pd.DataFrame) -> PageSection:
    """Return precision-recall curves on val_gt and the losses of the trainings.

    Args:
        curves: Columns ``system``, ``joint``, ``recall``, ``precision``.
        history: Columns ``system``, ``step``, ``loss``; empty where nothing was trained.
    """
    charts = []
    if len(curves):
        charts.append(Markup(precision_recall_chart(curves)))  # noqa: S704
    if len(history):
        charts.append(Markup(loss_chart(history)))  # noqa: S704
    note = "Precision over recall per joint on val_gt; below, the heatmap loss of every training."
    return PageSection("curves", "Curves", note, charts=tuple(charts))


def error_section(errors: pd.DataFrame) -> PageSection:
    """Return the share of error kinds on val_gt.

    Args:
        errors: Columns ``system``, ``joint``, ``kind`` and ``count``.
    """
    totals = errors.groupby(["system", "kind"], sort=False)["count"].sum().reset_index()
    labels = totals.groupby("system")["count"].transform("sum")
    totals["share"] = totals["count"] / labels.clip(lower=1)
    kinds = list(dict.fromkeys(totals["kind"]))
    shares = totals.pivot_table(index="system", columns="kind", values="share", sort=False)
    rows = [
        Row((str(system), *(percent(100 * float(row[kind])) for kind in kinds)), _kind(str(system)))
        for system, row in shares.iterrows()
    ]
    chart = Markup(error_chart(totals[["system", "kind", "share"]]))  # noqa: S704
    note = "Percent of ground-truth joints on val_gt, after Ronchi and Perona (ICCV 2017)."
    grid = Grid(("system", *kinds), tuple(rows))
    return PageSection("errors", "Kinds of error", note, tables=(grid,), charts=(chart,))


def provenance_section(provenance: Mapping[str, Mapping[str, Any]]) -> PageSection:
    """Return what made the numbers: a row per fact, a column per system."""
    flat = {system: flatten_facts(values) for system, values in provenance.items()}
    facts = list(dict.fromkeys(fact for values in flat.values() for fact in values))
    rows = [
        Row((fact, *(values.get(fact, "-") for values in flat.values())))
        for fact in facts
        if fact != "system"
    ]
    grid = Grid(("fact", *flat), tuple(rows))
    return PageSection("provenance", "What made these numbers", tables=(grid,))


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
    columns = ("stage", "units computed", "seconds in all", "longest unit", "MB")
    return PageSection("timings", "Units computed here", tables=(Grid(columns, rows),))


def flatten_facts(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as one text each, by their dotted names; digests are shortened."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten_facts(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _short(value)
    return flat


def gain_cells(gain: Gain | None) -> tuple[str, str, str]:
    """Return the mean and the interval of a gain as the cells of a row."""
    if gain is None:
        return ("-", "-", "-")
    return (f"{gain.mean:+.1f}", f"{gain.low:+.1f}", f"{gain.high:+.1f}")


def _result_grid(metrics: Metrics, split: str, quoted: Sequence[Row]) -> Grid:
    rows = [
        Row(
            (system, *(percent(values[split]["groups"][column]) for column in COLUMNS)),
            _kind(system),
        )
        for system, values in metrics.items()
    ]
    frames = next(iter(metrics.values()))[split]["n_frames_used"]
    title = f"{split}: {SPLITS[split]}, {frames} frames"
    return Grid(("system", *COLUMNS), (*rows, *quoted), title)


def _oks_grid(metrics: Metrics) -> Grid:
    names = ("AP", "AP50", "AP75", "AR")
    rows = []
    for system, values in metrics.items():
        found = [values[split]["oks"] or {} for split in ("val", "val_gt")]
        cells = [percent(oks.get(name)) for oks in found for name in names]
        rows.append(Row((system, *cells), _kind(system)))
    columns = [f"{split} {name}" for split in ("val", "val_gt") for name in names]
    return Grid(("system", *columns), tuple(rows))


def _kind(system: str) -> str:
    return "ours" if system in OURS else ""


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    # A digest is recognized by its first characters; the metric files hold all of it.
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_digest else text
