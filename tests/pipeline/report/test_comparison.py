"""The comparison of two runs shows every difference and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.metrics.posetrack_ap import Matches, score
from pipeline.report.bootstrap import draw_ap, paired_gain
from pipeline.report.comparison import (
    clip_section,
    fact_section,
    joint_section,
    mean_section,
    refuse_other_labels,
    video_section,
)
from pipeline.report.page import Row
from pipeline.report.run_results import RunResults
from pipeline.report.showcase import found_share
from tests.pipeline.report.test_bootstrap import VIDEOS, matched


def run(folder: Path, matches: dict[str, Matches], weights: str) -> RunResults:
    """Return the results that the stages would write for these predictions."""
    metrics: dict[str, dict[str, Any]] = {}
    for system, pooled in matches.items():
        scores = score(pooled)
        metrics[system] = dict.fromkeys(("val", "val_gt"), scores)
        videos = [
            {
                "split": split,
                "video": name,
                "Mean": score(pooled, pooled.pool.video == v)["ap_total"],
            }
            for split in ("val", "val_gt")
            for v, name in enumerate(pooled.pool.names)
        ]
        (folder / "evaluation" / system).mkdir(parents=True)
        pd.DataFrame(videos).to_parquet(folder / "evaluation" / system / "videos.parquet")
    facts = {s: {"labels": {"sha256": "ab" * 32}, "seed": 0, "weights": weights} for s in matches}
    return RunResults(metrics, facts, {"val": matches, "val_gt": matches}, folder)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[RunResults, RunResults]:
    """Return a run and an earlier run with a worse jmpose and the same hrnet."""
    good, bad = (matched(tmp_path / str(n), n, [1] * VIDEOS) for n in (4.0, 9.0))
    then = run(tmp_path / "then", {"hrnet": bad, "jmpose": bad}, "1")
    return run(tmp_path / "now", {"hrnet": bad, "jmpose": good}, "2"), then


def numbers(row: Row) -> list[float]:
    return [float(cell) for cell in row.cells[2:]]


def test_params_and_facts_are_shown_if_they_differ(runs: tuple[RunResults, RunResults]) -> None:
    params = ({"head": {"layers": 2, "new": [1]}}, {"head": {"layers": 4}})
    rows = fact_section(*runs, params).tables[0].rows
    assert [row.cells for row in rows] == [
        ("params", "head.layers", "4", "2"),
        ("params", "head.new", "-", "[1]"),
        ("hrnet", "weights", "1", "2"),
        ("jmpose", "weights", "1", "2"),
    ]


def test_the_mean_of_every_system_has_its_change_and_interval(
    runs: tuple[RunResults, RunResults],
) -> None:
    now, then = runs
    rows = mean_section(now, then).tables[1].rows
    assert rows[0].cells[3:] == ("+0.0", "+0.0", "+0.0")
    good, bad = (each.matches["val"]["jmpose"] for each in runs)
    gain = paired_gain(draw_ap(good), draw_ap(bad))
    assert gain is not None
    assert gain.interval is not None
    expected = [score(bad)["ap_total"], score(good)["ap_total"], gain.mean, *gain.interval]
    assert [float(cell) for cell in rows[1].cells[1:]] == pytest.approx(expected, abs=0.051)


def test_only_joints_and_videos_with_a_change_are_shown(
    runs: tuple[RunResults, RunResults],
) -> None:
    now, then = runs
    for section, name in ((joint_section(now, then), "joint"), (video_section(now, then), "video")):
        for grid in section.tables:
            assert grid.columns == ("system", name, "then", "now", "change")
            assert grid.rows
            assert {row.cells[0] for row in grid.rows} == {"jmpose"}
            for row in grid.rows:
                before, after, change = numbers(row)
                assert change == pytest.approx(after - before, abs=0.11)
    good, bad = (score(each.matches["val"]["jmpose"])["joint_ap"] for each in runs)
    nose = next(row for row in joint_section(now, then).tables[0].rows if row.cells[1] == "nose")
    assert numbers(nose)[:2] == pytest.approx([bad["nose"], good["nose"]], abs=0.051)


def test_a_joint_without_labels_has_no_change(runs: tuple[RunResults, RunResults]) -> None:
    now, then = runs
    joints = {**now.metrics["jmpose"]["val"]["joint_ap"], "nose": None}
    now.metrics["jmpose"]["val"]["joint_ap"] = joints
    rows = joint_section(now, then).tables[0].rows
    assert next(row for row in rows if row.cells[1] == "nose").cells[3:] == ("-", "-")


def test_the_pictures_show_the_people_that_changed_most(
    runs: tuple[RunResults, RunResults],
) -> None:
    now, then = runs
    blank = np.full((240, 240, 3), 90, np.uint8)
    section = clip_section(now, then, 1, lambda *_: blank)
    good, bad = (each.matches["val_gt"]["jmpose"] for each in runs)
    change = found_share(good) - found_share(bad)
    person = int(np.argmax(change))
    frame = good.pool.truth.frame[person]
    video = good.pool.names[good.pool.video[frame]]
    best = f"jmpose, improved most: {video}, frame {good.pool.entry[frame]}"
    assert section.pictures[0].caption == best
    assert all(picture.caption.startswith("jmpose") for picture in section.pictures)


def test_runs_on_different_labels_are_refused(runs: tuple[RunResults, RunResults]) -> None:
    now, then = runs
    refuse_other_labels(now.facts, then.facts, "v1")
    other = {"hrnet": {"labels": {"sha256": "cd" * 32}}}
    with pytest.raises(ValueError, match=r"^v1: expected the labels of this run \(sha256 abab"):
        refuse_other_labels(now.facts, other, "v1")
