"""Boxes from annotations and detectors, and the detection task."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.frames.video_frames import VideoFrames
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import BOXES, PEOPLE, VIDEOS
from pipeline.detection.detections import (
    BOXES_FILE,
    DetectTask,
    box_table,
    count_omitted,
    detected_rows,
    ground_truth_boxes,
)

VIDEO = pd.DataFrame([("v", "val", 9, 60, 90, "posetrack18", "val/v.json")], columns=VIDEOS.names)


def people(*rows: tuple[int, int, list[float], bool]) -> pd.DataFrame:
    """Return people given as (frame, person, box, has joints)."""
    table = [
        ("v", "val", frame, person, 0, 0, *box, *[0.0] * 4, np.full(51, float(joints)))
        for frame, person, box, joints in rows
    ]
    return pd.DataFrame(table, columns=PEOPLE.names)


def test_annotated_boxes_are_clipped_to_the_image() -> None:
    table = ground_truth_boxes(people((0, 0, [-5, -5, 20, 30], True)), VIDEO)
    assert list(table.iloc[0]) == ["v", 0, 0, 0, 0, 15, 25, 1.0, 0, "ground_truth"]


def test_people_without_joints_or_area_or_outside_the_image_are_omitted_and_counted() -> None:
    given = people(
        (0, 0, [10, 10, 20, 20], False),  # no joint
        (0, 1, [10, 10, 0, 20], True),  # no width
        (0, 2, [200, 10, 20, 20], True),  # outside
        (0, 3, [np.nan] * 4, True),  # no box
        (0, 4, [-50, -50, 999, 999], True),  # larger than the image
        (0, 5, [10, 10, 20, 20], True),
        (3, 0, [10, 10, 20, 20], True),
    )
    table = ground_truth_boxes(given, VIDEO)
    assert count_omitted(given, VIDEO) == {
        "without a labeled joint": 1,
        "without a box or with a box without area": 2,
        "with a box outside the image": 1,
    }
    assert list(zip(table["frame"], table["row"], table["person"], strict=True)) == [
        (0, 0, 4),
        (0, 1, 5),
        (3, 0, 0),
    ]
    assert list(table.iloc[0][["x", "y", "w", "h"]]) == [0, 0, 89, 59]


def found(*boxes: tuple[float, float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(boxes, dtype=float).reshape(-1, 5)
    return table[:, :4], table[:, 4]


def rows(*boxes: tuple[float, float, float, float, float]) -> list[tuple[object, ...]]:
    return list(
        detected_rows("v", 3, found(*boxes), image_size=(60, 90), score_min=0.2, source="test")
    )


def test_detections_are_sorted_by_decreasing_score() -> None:
    found_rows = rows((0, 0, 5, 5, 0.3), (1, 1, 9, 9, 0.9), (2, 2, 4, 4, 0.3), (0, 0, 5, 5, 0.1))
    assert [(row[2], row[3], row[7]) for row in found_rows] == [
        (0, 1, 0.9),
        (1, 0, 0.3),
        (2, 2, 0.3),
    ]
    assert {row[8] for row in found_rows} == {-1}


def test_detections_partly_outside_the_image_are_kept_and_others_omitted() -> None:
    found_rows = rows((-20, -20, 30, 30, 0.9), (200, 0, 250, 50, 0.8), (5, 5, 5, 20, 0.7))
    assert [row[3:7] for row in found_rows] == [(-20, -20, 50, 50)]


def test_a_frame_without_detections_has_no_rows() -> None:
    assert rows() == []
    assert list(box_table([]).columns) == BOXES.names


@pytest.mark.parametrize(
    "invalid", [(0, 0, 5, np.nan, 0.5), (0, 0, 5, 5, np.nan), (0, 0, 5, 5, 7.0)]
)
def test_invalid_boxes_and_scores_raise_an_error(
    invalid: tuple[float, float, float, float, float],
) -> None:
    with pytest.raises(ValueError, match="video 'v', frame 3: expected finite boxes"):
        rows(invalid)


def test_the_table_is_sorted_for_any_order_of_rows() -> None:
    parts = [("b", 0), ("a", 5), ("a", 2)]
    table = box_table([(v, f, 0, 0.0, 0.0, 1.0, 1.0, 0.5, -1, "test") for v, f in parts])
    assert list(zip(table["video"], table["frame"], strict=True)) == [("a", 2), ("a", 5), ("b", 0)]


def test_the_task_processes_its_frames_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VideoFrames, "read", lambda _, frame: np.full((60, 90, 3), frame, np.uint8))
    sizes = []

    def detector(frames: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        sizes.append(len(frames))
        return [found((float(frame[0, 0, 0]), 0, 80, 50, 0.5)) for frame in frames]

    frames = VideoFrames(tmp_path, (60, 90), ("",) * 9, ("",) * 9)
    task = DetectTask(
        detector, {"v": frames}, {"v": [0, 2, 4, 6, 8]}, batch=2, score_min=0.2, source="test"
    )
    task("v", tmp_path)
    table = read_table(tmp_path / BOXES_FILE, BOXES)
    assert sizes == [2, 2, 1]
    assert list(table["frame"]) == [0, 2, 4, 6, 8]
    assert list(table["x"]) == [0, 2, 4, 6, 8]
