"""Boxes in the key frames of a window."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.video.boxes import FileBoxes, IntervalDetector, check_boxes_file
from pipeline.video.source import Frame
from pipeline.video.windows import FrameWindow, split_windows
from tests.small_data_set import write_json


def parts(count: int, length: int) -> list[FrameWindow]:
    frames = [Frame(n, 0.0, np.full((40, 60, 3), n, np.uint8)) for n in range(count)]
    return list(split_windows(frames, 0, None, reach=1, length=length))


def brightest(frames: list[NDArray[np.uint8]]) -> list[Detections]:
    """Detect one person whose x coordinate is the brightness of the frame."""
    assert len(frames) <= 2
    return [
        (np.array([[f[0, 0, 0], 5.0, f[0, 0, 0] + 10.0, 25.0]]), np.array([0.9])) for f in frames
    ]


def test_frames_in_between_repeat_the_boxes_of_the_last_detection() -> None:
    boxes = IntervalDetector(brightest, every=3, batch=2, score_min=0.3, source="fake")
    found = [row for window in parts(10, 5) for row in boxes(window)]
    # Every window starts with a detection: frames 0, 3, then 5, 8.
    assert [(row[1], row[3]) for row in found] == [
        (0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (5, 5), (6, 5), (7, 5), (8, 8), (9, 8),
    ]  # fmt: skip
    assert {row[9] for row in found} == {"fake"}


def test_boxes_with_low_scores_are_dropped() -> None:
    boxes = IntervalDetector(brightest, every=1, batch=2, score_min=0.95, source="fake")
    assert boxes(parts(2, 2)[0]) == []


def test_records_of_a_file_belong_to_the_frame_of_their_image_id(tmp_path: Path) -> None:
    record = {"category_id": 1, "bbox": [1.0, 2.0, 10.0, 20.0], "score": 0.8}
    write_json(tmp_path / "b.json", [record | {"image_id": n} for n in (7, 2, 2)])
    boxes = FileBoxes(tmp_path / "b.json", (40, 60), 0.3)
    assert [row[:3] for window in parts(9, 4) for row in boxes(window)] == [
        ("video", 2, 0), ("video", 2, 1), ("video", 7, 0),
    ]  # fmt: skip
    write_json(tmp_path / "b.json", [record | {"image_id": 1, "score": 0.1}])
    assert FileBoxes(tmp_path / "b.json", (40, 60), 0.3)(parts(2, 2)[0]) == []


@pytest.mark.parametrize("content", [{"boxes": []}, [], [{"image_id": 0}], [3]])
def test_a_file_without_boxes_is_rejected(content: object, tmp_path: Path) -> None:
    write_json(tmp_path / "b.json", content)
    with pytest.raises(ValueError, match=r"b\.json: "):
        FileBoxes(tmp_path / "b.json", (40, 60), 0.3)


def test_an_empty_file_is_named_in_the_words_of_a_video(tmp_path: Path) -> None:
    write_json(tmp_path / "b.json", [])
    message = r"b\.json: expected boxes of people, got an empty list; .* number of the frame"
    with pytest.raises(ValueError, match=message):
        FileBoxes(tmp_path / "b.json", (40, 60), 0.3)


def test_boxes_beyond_the_video_are_refused(tmp_path: Path) -> None:
    record = {"category_id": 1, "bbox": [1.0, 2.0, 10.0, 20.0], "score": 0.8}
    write_json(tmp_path / "b.json", [record | {"image_id": n} for n in (16, 20)])
    check_boxes_file(None, range(16))
    check_boxes_file(tmp_path / "b.json", range(17))
    with pytest.raises(ValueError, match="in frames 0 to 15 of the video, got image_id 16 to 20"):
        check_boxes_file(tmp_path / "b.json", range(16))
