"""Sections of the page that compares two runs: params, provenance, AP and pictures."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.report.bootstrap import DRAWS, draw_ap, paired_gain
from pipeline.report.page import Grid, PageSection, Row, percent, picture_of
from pipeline.report.people import COLORS_NOTE
from pipeline.report.run_results import SPLITS, RunResults
from pipeline.report.sections import SPLITS as SPLIT_TITLES
from pipeline.report.sections import flatten_facts, gain_cells
from pipeline.report.showcase import Kind, ReadImage, describe_person, most_changed, side_by_side

CAPTIONS: dict[Kind, str] = {"improved": "improved most", "worsened": "worsened most"}
MEAN_NOTE = (
    "Mean AP in percent and its change in points. The 95 % interval comes from a paired bootstrap"
    f" over whole validation videos ({DRAWS} resamples)."
)
CHANGED_NOTE = "AP in percent. Rows without a change are left out."
CLIPS_NOTE = f"On val_gt, for every system: labels, earlier run, this run. {COLORS_NOTE}"


def fact_section(
    now: RunResults,
    then: RunResults,
    params: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> PageSection:
    """Return the params and the provenance that differ.

    Args:
        now: The newer run.
        then: The earlier run.
        params: Params files of the newer run and of the earlier one.
    """
    rows = [Row(("params", *cells)) for cells in _differing(*params)]
    for system in then.systems:
        differing = _differing(now.facts[system], then.facts[system])
        rows += [Row((system, *cells)) for cells in differing]
    grid = Grid(("source", "fact", "then", "now"), tuple(rows))
    return PageSection("facts", "Differences in params and provenance", tables=(grid,))


def mean_section(now: RunResults, then: RunResults) -> PageSection:
    """Return mean AP of every system in both runs."""
    grids = []
    for split in SPLITS:
        rows = []
        for system in then.systems:
            gain = paired_gain(
                draw_ap(now.matches[split][system]), draw_ap(then.matches[split][system])
            )
            before, after = (run.metrics[system][split]["ap_total"] for run in (then, now))
            rows.append(Row((*_change_cells((system,), before, after), *gain_cells(gain)[1:])))
        columns = ("system", "then", "now", "change", "95 % from", "95 % to")
        grids.append(Grid(columns, tuple(rows), _title(split)))
    return PageSection("mean", "PoseTrack AP", MEAN_NOTE, tables=tuple(grids))


def joint_section(now: RunResults, then: RunResults) -> PageSection:
    """Return the AP of every joint whose AP changed."""
    grids = []
    for split in SPLITS:
        rows = []
        for system in then.systems:
            before, after = (run.metrics[system][split]["joint_ap"] for run in (then, now))
            rows += [
                Row(_change_cells((system, joint), before[joint], after[joint]))
                for joint in before
                if before[joint] != after[joint]
            ]
        grids.append(Grid(("system", "joint", "then", "now", "change"), tuple(rows), _title(split)))
    return PageSection("joints", "AP by joint", CHANGED_NOTE, tables=tuple(grids))


def video_section(now: RunResults, then: RunResults) -> PageSection:
    """Return the mean AP of every video whose mean AP changed."""
    keys = ["split", "system", "video"]
    both = then.evaluation("videos").merge(
        now.evaluation("videos"), on=keys, suffixes=("_then", "_now")
    )
    before, after = both["Mean_then"], both["Mean_now"]
    both = both[(before != after) & (before.notna() | after.notna())]
    grids = []
    for split in SPLITS:
        rows = tuple(
            Row(_change_cells((row["system"], row["video"]), row["Mean_then"], row["Mean_now"]))
            for row in both[both["split"] == split].to_dict("records")
        )
        grids.append(Grid(("system", "video", "then", "now", "change"), rows, _title(split)))
    return PageSection("videos", "AP by video", CHANGED_NOTE, tables=tuple(grids))


def clip_section(
    now: RunResults, then: RunResults, count: int, read_image: ReadImage
) -> PageSection:
    """Return the people of val_gt that the newer run improved and worsened most.

    Args:
        now: The newer run.
        then: The earlier run, scored on the same ground truth.
        count: Number of people per system and kind.
        read_image: Reads a frame.
    """
    pictures = []
    for system in then.systems:
        shown = {"then": then.matches["val_gt"][system], "now": now.matches["val_gt"][system]}
        chosen = most_changed(shown["now"], shown["then"], count)
        for kind, words in CAPTIONS.items():
            for person in chosen[kind].tolist():
                where = describe_person(shown["now"].pool, person)
                picture = side_by_side(shown, person, read_image)
                pictures.append(picture_of(picture, f"{system}, {words}: {where}"))
    return PageSection("clips", "People that changed most", CLIPS_NOTE, pictures=tuple(pictures))


def refuse_other_labels(
    now: Mapping[str, Mapping[str, Any]], then: Mapping[str, Mapping[str, Any]], revision: str
) -> None:
    """Check that two runs were measured on the same labels.

    Args:
        now: Provenance of the newer run by system.
        then: Provenance of the earlier run, which may lack systems.
        revision: Name of the earlier run.

    Raises:
        ValueError: If the labels differ.
    """
    for system, facts in then.items():
        wanted, found = now[system]["labels"]["sha256"], facts["labels"]["sha256"]
        if found != wanted:
            raise ValueError(
                f"{revision}: expected the labels of this run (sha256 {wanted:.12}), got those of "
                f"sha256 {found:.12}; name a run on the same data set"
            )


def _differing(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, earlier and later value of every fact that differs; a missing value is a dash."""
    after, before = flatten_facts(now), flatten_facts(then)
    for fact in dict.fromkeys([*before, *after]):
        pair = before.get(fact, "-"), after.get(fact, "-")
        if pair[0] != pair[1]:
            yield fact, *pair


def _change_cells(
    names: tuple[str, ...], before: float | None, after: float | None
) -> tuple[str, ...]:
    """Return the cells of a row. Joints and videos without labels have no AP."""
    then, now = (None if value is None or pd.isna(value) else value for value in (before, after))
    change = "-" if then is None or now is None else f"{now - then:+.1f}"
    return (*names, percent(then), percent(now), change)


def _title(split: str) -> str:
    return f"{split}: {SPLIT_TITLES[split]}"
