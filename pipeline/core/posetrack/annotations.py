"""Annotations of one video in columns: frames, people and ignore regions, for all file formats."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.skeleton import JOINT_SLOTS, SLOTS

Format = Literal["posetrack17", "posetrack18", "posetrack21"]

MISSING_SCORE = -9999.0
"""Score of a joint without score (poseval, eval_helpers.py, MISSING_SCORE)."""

MALFORMED = (KeyError, TypeError, AttributeError, IndexError, OverflowError)
"""Exceptions raised by parsing a value of unexpected type or shape."""

MAX_COORDINATE = 1e6
"""Largest absolute coordinate of ground truth in pixels; images have at most 32,766 per side."""

BOX_MARGIN = 1.2
"""Factor on the extent of the joints for people without a box."""


@dataclass(frozen=True, slots=True)
class People:
    """The P people of a video, sorted by frame; within a frame in the order of the file."""

    frame: NDArray[np.int32]
    """Index into the image list of the file, ``(P,)``."""
    annotation_id: NDArray[np.int64]
    """``(P,)``; -1 if missing."""
    track_id: NDArray[np.int64]
    """``(P,)``; -1 if missing."""
    boxes_xywh: NDArray[np.float64]
    """Person boxes, pixels, ``(P, 4)``; NaN if missing."""
    heads_xywh: NDArray[np.float64]
    """Head boxes, pixels, ``(P, 4)``; NaN if missing."""
    keypoints: NDArray[np.float64]
    """x, y in pixels and the visibility flag, ``(P, 17, 3)`` in the order of ``SLOTS``."""
    present: NDArray[np.bool_]
    """Whether a slot is labeled, including occluded ones, ``(P, 17)``."""
    scores: NDArray[np.float64]
    """Joint scores, ``(P, 17)``; ``MISSING_SCORE`` if missing."""
    person_scores: NDArray[np.float64]
    """``(P,)``; NaN if missing."""


@dataclass(frozen=True, slots=True)
class Regions:
    """The M ignore polygons of a video, sorted by frame. People inside are not scored."""

    frame: NDArray[np.int32]
    """Index into the image list of the file, ``(M,)``."""
    start: NDArray[np.int64]
    """Offsets ``(M + 1,)``: polygon m is ``points[start[m]:start[m + 1]]``."""
    points: NDArray[np.float64]
    """Corners xy of all polygons, concatenated, pixels, ``(N, 2)``."""

    def of_frame(self, frame: int) -> list[NDArray[np.float64]]:
        """Return the polygons of one frame, each ``(V, 2)``."""
        rows = np.flatnonzero(self.frame == frame)
        return [self.points[self.start[row] : self.start[row + 1]] for row in rows]


@dataclass(frozen=True, slots=True)
class Annotations:
    """Content of an annotation or prediction file: F frames and their people."""

    path: Path
    format: Format
    file_names: tuple[str, ...]
    """Paths of the F frames as in the file, relative to the data set's folder."""
    image_ids: NDArray[np.int64]
    """``id`` of every image, ``(F,)``; ``imgnum`` in PoseTrack 2017, or -1 if missing."""
    image_sizes: NDArray[np.int32]
    """(height, width) of every image, pixels, ``(F, 2)``; 0 if missing."""
    labeled: NDArray[np.bool_]
    """``is_labeled`` of every frame, ``(F,)``; if missing, whether the frame has people."""
    has_labeled_flags: bool
    """Whether every frame has ``is_labeled``."""
    tags: tuple[str, ...]
    """Degradation of every synthetic frame, F strings; otherwise empty strings."""
    regions: Regions
    people: People

    @property
    def has_people(self) -> NDArray[np.bool_]:
        """Whether a frame has annotated people, with or without joints, ``(F,)``."""
        return np.bincount(self.people.frame, minlength=len(self.file_names)) > 0


def person_boxes(people: People) -> NDArray[np.float64]:
    """Return the annotated box of every person, or the extent of the joints times 1.2.

    PoseTrack 2017 has no person boxes. By convention they are derived from the joints; DCPose and
    JM-Pose enlarge the extent by 20 %.

    Args:
        people: P people.

    Returns:
        Boxes xywh, pixels, ``(P, 4)``; NaN for a person with neither box nor joints.
    """
    joints = people.keypoints[:, JOINT_SLOTS, :2]
    present = people.present[:, JOINT_SLOTS, None]
    low = np.where(present, joints, np.inf).min(axis=1)
    high = np.where(present, joints, -np.inf).max(axis=1)
    low[~people.present[:, JOINT_SLOTS].any(axis=1)] = np.nan
    extent = (high - low) * BOX_MARGIN
    made = np.concatenate([(low + high - extent) / 2, extent], axis=1)
    return np.where(np.isnan(people.boxes_xywh), made, people.boxes_xywh)


def has_empty_head(people: People) -> NDArray[np.bool_]:
    """Return whether a person with joints has a head box of zero size, ``(P,)``.

    Distances are measured in head sizes, so no prediction can match such a person: poseval counts
    all of their joints as missed.
    """
    labeled = people.present[:, JOINT_SLOTS].any(axis=1)
    empty: NDArray[np.bool_] = labeled & (people.heads_xywh[:, 2:] == 0).all(axis=1)
    return empty


def empty_head_warning(truth: Annotations) -> str:
    """Return a warning that names the file if people have empty head boxes, otherwise ''."""
    count = int(has_empty_head(truth.people).sum())
    if not count:
        return ""
    return (
        f"{truth.path}: {count} of {len(truth.people.frame)} people have a head box of zero size, "
        "so no prediction can match them and all of their joints are missed; correct bbox_head"
    )


class NumberTable:
    """Collects rows of numbers, then checks and converts all of them to an array.

    Args:
        path: Path of the file, for error messages.
        field: Location of a row in the file, with ``{}`` for its position.
        width: Numbers per row.
    """

    def __init__(self, path: Path, field: str, width: int) -> None:
        self._path = path
        self._field = field
        self._width = width
        self._values = array("d")
        self._missing: list[int] = []
        self._nan_row = [float("nan")] * width

    def add(self, values: object, position: int) -> None:
        """Append a row; ``position`` is its position in the file.

        Raises:
            ValueError: If ``values`` is not a list of ``width`` numbers.
        """
        if type(values) is not list or len(values) != self._width:
            got = f"{len(values)} values" if type(values) is list else repr(values)[:60]
            raise ValueError(self._message(position, got))
        try:
            self._values.fromlist(values)
        except (TypeError, OverflowError) as error:
            raise ValueError(self._message(position, repr(values)[:60])) from error

    def add_missing(self) -> None:
        """Append a row of NaN for a missing value."""
        self._missing.append(len(self._values) // self._width)
        self._values.fromlist(self._nan_row)

    def table(self) -> NDArray[np.float64]:
        """Return all rows, ``(rows, width)``.

        Raises:
            ValueError: If a number is not finite.
        """
        rows = np.array(self._values, dtype=np.float64).reshape(-1, self._width)
        invalid: NDArray[np.bool_] = np.logical_not(np.isfinite(rows).all(axis=1))
        invalid[self._missing] = False
        if invalid.any():
            position = int(invalid.argmax())
            raise ValueError(self._message(position, f"{rows[position].tolist()}"[:80]))
        return rows

    def _message(self, position: int, got: str) -> str:
        where = self._field.format(position)
        return (
            f"{self._path}: {where}: expected a list of {self._width} finite numbers, got {got}; "
            "correct or remove that entry"
        )


class RegionTable:
    """Collects ignore polygons frame by frame.

    Args:
        path: Path of the file, for error messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: list[int] = []
        self._start = [0]
        self._x = array("d")
        self._y = array("d")

    def add(self, frame: int, x: object, y: object) -> None:
        """Append a polygon of a frame, given by the coordinates of its corners.

        Raises:
            ValueError: If ``x`` and ``y`` are not lists of numbers of equal length.
        """
        if type(x) is not list or type(y) is not list or len(x) != len(y):
            raise ValueError(self._message(frame, f"x {x!r:.60} and y {y!r:.60}"))
        try:
            self._x.fromlist(x)
            self._y.fromlist(y)
        except (TypeError, OverflowError) as error:
            raise ValueError(self._message(frame, f"x {x!r:.60} and y {y!r:.60}")) from error
        self._frames.append(frame)
        self._start.append(len(self._x))

    def table(self) -> Regions:
        """Return all polygons.

        Raises:
            ValueError: If a corner is not finite.
        """
        points = np.stack([np.array(self._x), np.array(self._y)], axis=1).astype(np.float64)
        start = np.array(self._start, dtype=np.int64)
        if not np.isfinite(points).all():
            corner = int((~np.isfinite(points).all(axis=1)).argmax())
            polygon = int(np.searchsorted(start, corner, side="right")) - 1
            raise ValueError(self._message(self._frames[polygon], f"{points[corner].tolist()}"))
        return Regions(np.array(self._frames, dtype=np.int32), start, points)

    def _message(self, frame: int, got: str) -> str:
        return (
            f"{self._path}: ignore region of frame {frame}: expected two lists of finite numbers "
            f"of equal length, got {got}; correct or remove that region"
        )


def check_boxes(path: Path, people: People) -> None:
    """Check the boxes of ground truth.

    A head box may be empty, but its sides must not be negative; as in poseval, a person with an
    empty head box is never matched. A person box must have an area if several joints are labeled,
    because OKS and the crops are scaled by it. PoseTrack18 computes boxes from the extent of the
    joints, so the box of a single joint has no area: such a person is scored but not cropped.

    Raises:
        ValueError: If a head box or the box of a labeled person has a negative side, or the box of
            a person with several joints has no area.
    """
    joints = people.present[:, JOINT_SLOTS].sum(axis=1)
    sides = people.boxes_xywh[:, 2:].min(axis=1)
    invalid_box = ((sides < 0) & (joints == 1)) | ((sides <= 0) & (joints > 1))
    for name, boxes, invalid in (
        ("head box", people.heads_xywh, (people.heads_xywh[:, 2:] < 0).any(axis=1)),
        ("box", people.boxes_xywh, invalid_box),
    ):
        if invalid.any():
            row = int(invalid.argmax())
            raise ValueError(
                f"{path}: frame {people.frame[row]}, track {people.track_id[row]}: expected a "
                f"{name} with positive width and height, got x, y, width, height "
                f"{boxes[row].tolist()}; correct or remove that person"
            )


def check_coordinates(path: Path, people: People, regions: Regions) -> None:
    """Check that the coordinates of ground truth are those of an image.

    Raises:
        ValueError: If a coordinate or a side of a keypoint, a box, a head box or an ignore region
            exceeds ``MAX_COORDINATE``.
    """
    for name, rows, frames in (
        ("keypoint", people.keypoints.reshape(-1, 3), np.repeat(people.frame, len(SLOTS))),
        ("box", people.boxes_xywh, people.frame),
        ("head box", people.heads_xywh, people.frame),
        ("ignore region", regions.points, np.repeat(regions.frame, np.diff(regions.start))),
    ):
        # Comparison with NaN, a missing box, is false.
        invalid = (np.abs(rows) > MAX_COORDINATE).any(axis=1)
        if invalid.any():
            row = int(invalid.argmax())
            raise ValueError(
                f"{path}: frame {frames[row]}: expected {name} coordinates of at most "
                f"{MAX_COORDINATE:.0f} pixels, got {rows[row].tolist()}; correct or remove it"
            )


def check_file_names(path: Path, file_names: Sequence[str]) -> None:
    """Check that every frame path stays inside the data set's folder.

    Raises:
        ValueError: If a path is empty, absolute, or contains ``..``, a drive, a backslash or a NUL
            character.
    """
    for position, name in enumerate(file_names):
        # Ten times faster than pathlib, which matters for tens of thousands of names.
        drive = name[1:2] == ":"
        parent = ".." in name and ".." in name.split("/")
        if not name or name[0] == "/" or drive or parent or "\\" in name or "\0" in name:
            raise ValueError(
                f"{path}: image {position}: expected a path relative to the data set's folder, "
                f"got {name!r}; correct the path"
            )


SLOT_OF = {name: slot for slot, name in enumerate(SLOTS)} | {"neck": SLOTS.index("head_bottom")}
"""Slot of every joint name; poseval and some converters use neck for head_bottom."""
