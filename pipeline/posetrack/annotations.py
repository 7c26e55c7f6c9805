"""People, frames and ignore regions of one video, in columns, whatever form their file had."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.skeleton import JOINT_SLOTS, SLOTS

Format = Literal["posetrack17", "posetrack18", "posetrack21"]

MISSING_SCORE = -9999.0
"""Score of a joint whose file gives none (poseval, eval_helpers.py, MISSING_SCORE)."""

MALFORMED = (KeyError, TypeError, AttributeError, IndexError, OverflowError)
"""What a value of another type or shape than expected raises when it is taken apart."""

BOX_MARGIN = 1.2
"""A person without a box gets the extent of their joints, scaled by this about its center."""


@dataclass(frozen=True, slots=True)
class People:
    """Every person of a video, P rows sorted by frame and within a frame in the file's order."""

    frame: NDArray[np.int32]
    """Entry of the file's image list, ``(P,)``."""
    annotation_id: NDArray[np.int64]
    """``(P,)``; -1 where the file gives none."""
    track_id: NDArray[np.int64]
    """``(P,)``; -1 where the file gives none."""
    boxes_xywh: NDArray[np.float64]
    """Person boxes in pixels, ``(P, 4)``; NaN where the file gives none."""
    heads_xywh: NDArray[np.float64]
    """Head boxes in pixels, ``(P, 4)``; NaN where the file gives none."""
    keypoints: NDArray[np.float64]
    """``(P, 17, 3)`` in the order of ``SLOTS``: x, y in pixels and the file's visibility flag."""
    present: NDArray[np.bool_]
    """Slots that the file labels at all, occluded ones included, ``(P, 17)``."""
    scores: NDArray[np.float64]
    """``(P, 17)``; ``MISSING_SCORE`` where the file gives none."""
    person_scores: NDArray[np.float64]
    """``(P,)``; NaN where the file gives none."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Polygons of a video inside which nothing is scored, M of them, sorted by frame."""

    frame: NDArray[np.int32]
    """Entry of the file's image list, ``(M,)``."""
    start: NDArray[np.int64]
    """Polygon m owns the rows ``start[m]:start[m + 1]`` of ``points``, ``(M + 1,)``."""
    points: NDArray[np.float64]
    """Corners xy in pixels of all polygons, one after the other, ``(N, 2)``."""

    def of_frame(self, frame: int) -> list[NDArray[np.float64]]:
        """Return the polygons of one frame, each ``(V, 2)``."""
        rows = np.flatnonzero(self.frame == frame)
        return [self.points[self.start[row] : self.start[row + 1]] for row in rows]


@dataclass(frozen=True, slots=True)
class Annotations:
    """One annotation or prediction file: F frames and their people."""

    path: Path
    format: Format
    file_names: tuple[str, ...]
    """Path of every frame relative to the data set's folder, F of them, as the file gives it."""
    image_ids: NDArray[np.int64]
    """``id`` of every image, ``(F,)``; in PoseTrack 2017 ``imgnum``, -1 where there is none."""
    image_sizes: NDArray[np.int32]
    """(height, width) of every image in pixels, ``(F, 2)``; 0 where the file does not say."""
    labeled: NDArray[np.bool_]
    """``is_labeled`` of every frame, ``(F,)``; where no frame has it, whether it has people."""
    has_labeled_flags: bool
    """Whether every frame has ``is_labeled``."""
    tags: tuple[str, ...]
    """Degradation of every synthetic frame, F of them; empty elsewhere."""
    regions: Regions
    people: People

    @property
    def has_people(self) -> NDArray[np.bool_]:
        """Frames that hold an annotation, with or without joints, ``(F,)``."""
        return np.bincount(self.people.frame, minlength=len(self.file_names)) > 0


def person_boxes(people: People) -> NDArray[np.float64]:
    """Return a box for every person: the file's, or the extent of the joints times 1.2.

    PoseTrack 2017 has head boxes only; its person boxes are made from the joints by everyone who
    works on it (DCPose and JM-Pose enlarge the extent by 20 %).

    Args:
        people: P people.

    Returns:
        Boxes xywh in pixels, ``(P, 4)``; NaN for a person with neither box nor joints.
    """
    joints = people.keypoints[:, JOINT_SLOTS, :2]
    present = people.present[:, JOINT_SLOTS, None]
    low = np.where(present, joints, np.inf).min(axis=1)
    high = np.where(present, joints, -np.inf).max(axis=1)
    low[~people.present[:, JOINT_SLOTS].any(axis=1)] = np.nan
    extent = (high - low) * BOX_MARGIN
    made = np.concatenate([(low + high - extent) / 2, extent], axis=1)
    return np.where(np.isnan(people.boxes_xywh), made, people.boxes_xywh)


class NumberTable:
    """Rows of numbers gathered one by one, then checked and turned into an array at once.

    Args:
        path: The file they come from, for messages.
        field: Where a row lies in that file, with ``{}`` in place of its position.
        width: Numbers per row.
    """

    def __init__(self, path: Path, field: str, width: int) -> None:
        self._path = path
        self._field = field
        self._width = width
        self._values = array("d")
        self._missing: list[int] = []
        self._nothing = [float("nan")] * width

    def add(self, values: object, position: int) -> None:
        """Append one row; ``position`` is its place in the file.

        Raises:
            ValueError: If ``values`` is not a list of ``width`` numbers.
        """
        if type(values) is not list or len(values) != self._width:
            came = f"{len(values)} values" if type(values) is list else repr(values)[:60]
            raise ValueError(self._message(position, came))
        try:
            self._values.fromlist(values)
        except (TypeError, OverflowError) as error:
            raise ValueError(self._message(position, repr(values)[:60])) from error

    def add_missing(self) -> None:
        """Append a row of NaN for something that the file does not give."""
        self._missing.append(len(self._values) // self._width)
        self._values.fromlist(self._nothing)

    def table(self) -> NDArray[np.float64]:
        """Return all rows, ``(rows, width)``.

        Raises:
            ValueError: If a number is not finite.
        """
        rows = np.array(self._values, dtype=np.float64).reshape(-1, self._width)
        faulty: NDArray[np.bool_] = np.logical_not(np.isfinite(rows).all(axis=1))
        faulty[self._missing] = False
        if faulty.any():
            position = int(faulty.argmax())
            raise ValueError(self._message(position, f"{rows[position].tolist()}"[:80]))
        return rows

    def _message(self, position: int, came: str) -> str:
        where = self._field.format(position)
        return (
            f"{self._path}: {where}: expected a list of {self._width} finite numbers, got {came}; "
            "mend or remove that entry"
        )


class RegionTable:
    """Ignore polygons gathered frame by frame.

    Args:
        path: The file they come from, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: list[int] = []
        self._start = [0]
        self._x = array("d")
        self._y = array("d")

    def add(self, frame: int, x: object, y: object) -> None:
        """Append the polygon of one frame, given by the coordinates of its corners.

        Raises:
            ValueError: If ``x`` and ``y`` are not lists of numbers of one length.
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

    def _message(self, frame: int, came: str) -> str:
        return (
            f"{self._path}: ignore region of frame {frame}: expected two lists of finite numbers "
            f"of one length, got {came}; mend or remove that region"
        )


def check_boxes(path: Path, people: People) -> None:
    """Check the boxes of ground truth.

    A head box may be empty (its person then never matches, as in poseval), not inverted. A person
    box must have an area wherever several joints are labeled: OKS and the crops are scaled by
    it. PoseTrack18 makes its boxes from the extent of the joints, so that of a single joint has
    none: such a person is scored, and gets no crop.

    Raises:
        ValueError: If a head box has a negative side, or the box of a labeled person has one, or
            has no area in spite of several joints.
    """
    joints = people.present[:, JOINT_SLOTS].sum(axis=1)
    sides = people.boxes_xywh[:, 2:].min(axis=1)
    bad_box = ((sides < 0) & (joints == 1)) | ((sides <= 0) & (joints > 1))
    for name, boxes, faulty in (
        ("head box", people.heads_xywh, (people.heads_xywh[:, 2:] < 0).any(axis=1)),
        ("box", people.boxes_xywh, bad_box),
    ):
        if faulty.any():
            row = int(faulty.argmax())
            raise ValueError(
                f"{path}: frame {people.frame[row]}, track {people.track_id[row]}: expected a "
                f"{name} with positive width and height, got x, y, width, height "
                f"{boxes[row].tolist()}; mend or remove that person"
            )


def check_file_names(path: Path, file_names: Sequence[str]) -> None:
    """Check that every frame's path stays inside the data set's folder.

    Raises:
        ValueError: If a path is empty, absolute, climbs with ``..``, has a drive, a backslash or
            a NUL.
    """
    for position, name in enumerate(file_names):
        # Not pathlib's parser: a set has 10,000s of names, and this one is ten times faster.
        drive = name[1:2] == ":"
        climbs = ".." in name and ".." in name.split("/")
        if not name or name[0] == "/" or drive or climbs or "\\" in name or "\0" in name:
            raise ValueError(
                f"{path}: image {position}: expected a path relative to the data set's folder, "
                f"got {name!r}; frames are never read from outside that folder"
            )


SLOT_OF = {name: slot for slot, name in enumerate(SLOTS)} | {"neck": SLOTS.index("head_bottom")}
"""Slot of every joint name; poseval and some converters say neck for head_bottom."""
