"""Boxes of people in the key frames of a window: from a detector or from a file."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pipeline.core.strict_json import read_json
from pipeline.core.tables.schemas import FRAMES, VIDEOS
from pipeline.detection.coco_results import read_boxes
from pipeline.detection.detections import Detector, Row, detected_rows
from pipeline.video.windows import FrameWindow

BoxFinder = Callable[[FrameWindow], list[Row]]
"""Returns the boxes in the key frames of a window as rows of ``schemas.BOXES``."""
VIDEO = "video"
"""Name of the video in tables with a video column."""


class IntervalDetector:
    """Runs a detector on every n-th frame and repeats its boxes for the frames in between.

    Args:
        detector: Detector of people.
        every: Interval n.
        batch: Number of frames per call of the detector.
        score_min: Boxes with lower scores are dropped.
        source: Name of the detector.
    """

    def __init__(
        self, detector: Detector, every: int, batch: int, score_min: float, source: str
    ) -> None:
        self._detector = detector
        self._every = every
        self._batch = batch
        self._score_min = score_min
        self._source = source

    def __call__(self, window: FrameWindow) -> list[Row]:
        """Return the boxes in the key frames of the window."""
        detected = list(range(window.start, window.stop, self._every))
        rows: list[Row] = []
        for first in range(0, len(detected), self._batch):
            group = detected[first : first + self._batch]
            results = self._detector([window.picture(number) for number in group])
            for number, found in zip(group, results, strict=True):
                boxes = detected_rows(
                    VIDEO,
                    number,
                    found,
                    image_size=window.picture(number).shape[:2],
                    score_min=self._score_min,
                    source=self._source,
                )
                covered = range(number, min(number + self._every, window.stop))
                rows += [(VIDEO, frame, *row[2:]) for frame in covered for row in boxes]
        return rows


class FileBoxes:
    """Reads boxes from a COCO-result file whose ``image_id`` is the frame number, starting at 0.

    Args:
        path: The file.
        image_size: (height, width) of the frames in pixels.
        score_min: Boxes with lower scores are dropped.

    Raises:
        ValueError: See ``pipeline.detection.coco_results.read_boxes``.
    """

    def __init__(self, path: Path, image_size: tuple[int, int], score_min: float) -> None:
        count = 1 + max(_frame_numbers(path), default=0)
        frames = pd.DataFrame({"frame": range(count), "image_id": range(count)})
        frames = frames.assign(video=VIDEO, file="").reindex(columns=FRAMES.names)
        videos = pd.DataFrame([{"video": VIDEO, "height": image_size[0], "width": image_size[1]}])
        table = read_boxes(path, frames, videos.reindex(columns=VIDEOS.names), score_min)
        self._rows: list[Row] = list(table.itertuples(index=False, name=None))

    def __call__(self, window: FrameWindow) -> list[Row]:
        """Return the boxes in the key frames of the window."""
        return [row for row in self._rows if window.start <= row[1] < window.stop]


def check_boxes_file(path: Path | None, frames: range) -> None:
    """Compare the frames of a boxes file with those of the video, which are known at its end.

    Args:
        path: The file; None if a detector found the boxes.
        frames: Numbers of the processed frames.

    Raises:
        ValueError: If no box is in a processed frame.
    """
    numbers = [] if path is None else _frame_numbers(path)
    if numbers and not any(number in frames for number in numbers):
        raise ValueError(
            f"{path}: expected boxes in frames {frames.start} to {frames.stop - 1} of the video, "
            f"got image_id {min(numbers)} to {max(numbers)}; image_id is the number of the frame, "
            "starting at 0"
        )


def _frame_numbers(path: Path) -> list[int]:
    """Return the frame number of every record.

    Raises:
        ValueError: If the file is not JSON or an empty list.
    """
    records = read_json(path)
    if records == []:
        raise ValueError(
            f"{path}: expected boxes of people, got an empty list; write COCO results whose "
            "image_id is the number of the frame, starting at 0"
        )
    found = [record.get("image_id") for record in records if isinstance(record, dict)]
    return [number for number in found if isinstance(number, int)]
