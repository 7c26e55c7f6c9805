"""Sections of the page that compares two runs: what made them differ, and where results moved."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.report.bootstrap import draw_ap, paired_gain
from pipeline.report.page import Grid, PageSection, Row, percent, picture_of
from pipeline.report.run_results import SPLITS, RunResults
from pipeline.report.sections import SPLITS as SPLIT_TITLES
from pipeline.report.sections import flatten_facts, gain_cells
from pipeline.report.showcase import Kind, ReadImage, describe_person, most_changed, side_by_side

KINDS: dict[Kind, str] = {"improved": "improved most", "worsened": "made worse most"}
MEAN_NOTE = (
    "Mean AP in percent; the change in points, with a 95 % interval from a paired bootstrap over"
    " whole validation videos (1000 draws)."
)
MOVED_NOTE = "AP in percent. What is the same then and now is left out."
CLIPS_NOTE = (
    "On val_gt, for every system: labels, then, now. Orange is the person's left, blue their right;"
    " without joints: no prediction was assigned to the person."
)


def fact_section(
    now: RunResults,
    then: RunResults,
    params: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> PageSection:
    """Return the params, then the facts of provenance, that differ.

    Args:
        now: The newer run.
        then: The earlier one.
        params: Params files of the newer run and of the earlier one.
    """
    rows = [Row(("params", *cells)) for cells in _differing(*params)]
    for system in then.systems:
        differing = _differing(now.facts[system], then.facts[system])
        rows += [Row((system, *cells)) for cells in differing]
    grid = Grid(("of", "fact", "then", "now"), tuple(rows))
    return PageSection("facts", "What differs", tables=(grid,))


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
            rows.append(Row((*_moved((system,), before, after), *gain_cells(gain)[1:])))
        columns = ("system", "then", "now", "change", "from", "to")
        grids.append(Grid(columns, tuple(rows), _title(split)))
    return PageSection("mean", "PoseTrack AP", MEAN_NOTE, tables=tuple(grids))


def joint_section(now: RunResults, then: RunResults) -> PageSection:
    """Return the AP of every joint that moved."""
    grids = []
    for split in SPLITS:
        rows = []
        for system in then.systems:
            before, after = (run.metrics[system][split]["joint_ap"] for run in (then, now))
            rows += [
                Row(_moved((system, joint), before[joint], after[joint]))
                for joint in before
                if before[joint] != after[joint]
            ]
        grids.append(Grid(("system", "joint", "then", "now", "change"), tuple(rows), _title(split)))
    return PageSection("joints", "By joint", MOVED_NOTE, tables=tuple(grids))


def video_section(now: RunResults, then: RunResults) -> PageSection:
    """Return the mean AP of every video that moved."""
    keys = ["split", "system", "video"]
    both = then.evaluation("videos").merge(
        now.evaluation("videos"), on=keys, suffixes=("_then", "_now")
    )
    before, after = both["Mean_then"], both["Mean_now"]
    both = both[(before != after) & (before.notna() | after.notna())]
    grids = []
    for split in SPLITS:
        rows = tuple(
            Row(_moved((row["system"], row["video"]), row["Mean_then"], row["Mean_now"]))
            for row in both[both["split"] == split].to_dict("records")
        )
        grids.append(Grid(("system", "video", "then", "now", "change"), rows, _title(split)))
    return PageSection("videos", "By video", MOVED_NOTE, tables=tuple(grids))


def clip_section(
    now: RunResults, then: RunResults, count: int, read_image: ReadImage
) -> PageSection:
    """Return the people of val_gt whose joints the newer run finds most and least of.

    Args:
        now: The newer run.
        then: The earlier one, scored on the same ground truth.
        count: People per system and kind.
        read_image: As for ``showcase.side_by_side``.
    """
    pictures = []
    for system in then.systems:
        shown = {"then": then.matches["val_gt"][system], "now": now.matches["val_gt"][system]}
        chosen = most_changed(shown["now"], shown["then"], count)
        for kind, words in KINDS.items():
            for person in chosen[kind].tolist():
                where = describe_person(shown["now"].pool, person)
                picture = side_by_side(shown, person, read_image)
                pictures.append(picture_of(picture, f"{system}, {words}: {where}"))
    return PageSection("clips", "Clips that changed most", CLIPS_NOTE, pictures=tuple(pictures))


def refuse_other_labels(
    now: Mapping[str, Mapping[str, Any]], then: Mapping[str, Mapping[str, Any]], revision: str
) -> None:
    """Check that two runs were measured on the same labels.

    Args:
        now: Provenance of the newer run by system.
        then: Provenance of the earlier one; it may lack systems.
        revision: Name of the earlier one.

    Raises:
        ValueError: If they were not.
    """
    for system, facts in then.items():
        wanted, found = now[system]["labels"]["sha256"], facts["labels"]["sha256"]
        if found != wanted:
            raise ValueError(
                f"{revision}: expected the labels of this run (sha256 {wanted:.12}), got those of "
                f"sha256 {found:.12}; name a run on the same data set"
            )


def _differing(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield fact, earlier and later value where they differ; a dash stands for none."""
    after, before = flatten_facts(now), flatten_facts(then)
    for fact in dict.fromkeys([*before, *after]):
        pair = before.get(fact, "-"), after.get(fact, "-")
        if pair[0] != pair[1]:
            yield fact, *pair


def _moved(names: tuple[str, ...], before: float | None, after: float | None) -> tuple[str, ...]:
    """Return the cells of a row; joints and videos without labels have no AP."""
    then, now = (None if value is None or pd.isna(value) else value for value in (before, after))
    change = "-" if then is None or now is None else f"{now - then:+.1f}"
    return (*names, percent(then), percent(now), change)


def _title(split: str) -> str:
    return f"{split}: {SPLIT_TITLES[split]}"
