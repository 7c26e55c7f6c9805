"""Parser of PoseTrack 2017 files: ``annolist``, with values in one-element lists."""

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.posetrack.annotations import (
    MALFORMED,
    MISSING_SCORE,
    SLOT_OF,
    Annotations,
    NumberTable,
    People,
    RegionTable,
)
from pipeline.core.skeleton import POSEVAL_JOINTS, SLOTS

POINT_SLOTS = [SLOT_OF[name] for name in POSEVAL_JOINTS]
"""Slot of every point id 0..14; the ids are the joint ids of poseval."""


def parse(values: dict[str, Any], path: Path, *, truth: bool) -> Annotations:
    """Parse the content of a file.

    Args:
        values: Content of the file.
        path: Path of the file, for error messages.
        truth: Whether the file is ground truth. Boxes and ignore regions of predictions are not
            read.

    Raises:
        ValueError: If a value is missing, has another type or is not finite.
    """
    entries = values.get("annolist")
    if type(entries) is not list or not entries:
        raise ValueError(
            f"{path}: annolist: expected a list of at least one frame, got {entries!r:.60}; write "
            "one entry per frame"
        )
    columns = _Columns(path)
    regions = RegionTable(path)
    for frame, entry in enumerate(entries):
        try:
            columns.add_frame(entry, frame, truth=truth)
            for region in _list(entry, "ignore_regions") if truth else []:
                points = region["point"]
                regions.add(
                    frame, [unwrap(p["x"]) for p in points], [unwrap(p["y"]) for p in points]
                )
        except MALFORMED as error:
            raise ValueError(
                f"{path}: annolist[{frame}]: expected `image` with `name`, and `annorect` with "
                f"`annopoints` of points with id, x and y, got {error!r}; correct that frame"
            ) from error
    people = columns.people()
    has_people = np.bincount(people.frame, minlength=len(entries)) > 0
    return Annotations(
        path=path,
        format="posetrack17",
        file_names=tuple(columns.names),
        image_ids=np.array(columns.numbers, dtype=np.int64),
        image_sizes=np.zeros((len(entries), 2), dtype=np.int32),
        labeled=np.array(columns.labeled, dtype=bool) if columns.has_labeled_flags else has_people,
        has_labeled_flags=columns.has_labeled_flags,
        tags=("",) * len(entries),
        regions=regions.table(),
        people=people,
    )


def unwrap(value: Any) -> Any:  # noqa: ANN401
    """Return the element of a one-element list, or the value itself if it is not a list.

    Raises:
        IndexError: If the list does not have exactly one element.
    """
    if type(value) is not list:
        return value
    if len(value) != 1:
        raise IndexError(f"a list of {len(value)} values instead of 1")
    return value[0]


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    found = entry.get(key, [])
    if type(found) is not list:
        raise TypeError(f"{key} {found!r:.60} instead of a list")
    return found


class _Columns:
    """Columns of all frames and people, filled frame by frame."""

    def __init__(self, path: Path) -> None:
        self.names: list[str] = []
        self.numbers = array("q")
        self.labeled = array("b")
        self.has_labeled_flags = True
        self._frame = array("i")
        self._track_id = array("q")
        self._points = NumberTable(path, "annolist, person {}, annopoints", 4 * len(SLOTS))
        self._present: list[list[bool]] = []
        self._heads = NumberTable(path, "annolist, person {}, x1, y1, x2, y2", 4)
        self._person_score = NumberTable(path, "annolist, person {}, score", 1)

    def add_frame(self, entry: dict[str, Any], frame: int, *, truth: bool) -> None:
        """Append a frame and its people."""
        self.names.append(unwrap(entry["image"])["name"] + "")
        number = entry.get("imgnum")
        self.numbers.append(-1 if number in (None, []) else unwrap(number))
        flag = entry.get("is_labeled")
        self.has_labeled_flags &= flag not in (None, [])
        self.labeled.append(0 if flag in (None, []) else unwrap(flag))
        for person in _list(entry, "annorect"):
            self._add_person(person, frame, truth=truth)

    def _add_person(self, person: dict[str, Any], frame: int, *, truth: bool) -> None:
        position = len(self._frame)
        self._frame.append(frame)
        track = person.get("track_id")
        self._track_id.append(-1 if track in (None, []) else unwrap(track))
        self._add_points(person, position)
        corners = [person.get(key) for key in ("x1", "y1", "x2", "y2")]
        if not truth or None in corners or [] in corners:
            self._heads.add_missing()
        else:
            self._heads.add([unwrap(corner) for corner in corners], position)
        score = person.get("score")
        if score in (None, []):
            self._person_score.add_missing()
        else:
            self._person_score.add([unwrap(score)], position)

    def _add_points(self, person: dict[str, Any], position: int) -> None:
        row = [0.0, 0.0, 0.0, MISSING_SCORE] * len(SLOTS)
        present = [False] * len(SLOTS)
        holders = _list(person, "annopoints")
        for point in _list(holders[0], "point") if holders else []:
            joint = unwrap(point["id"])
            # poseval reads ids 0..14 and uses the first point of each id (eval_helpers.py).
            if type(joint) is not int or not 0 <= joint < len(POINT_SLOTS):
                continue
            slot = POINT_SLOTS[joint]
            if present[slot]:
                continue
            present[slot] = True
            flag, score = point.get("is_visible"), point.get("score")
            row[4 * slot : 4 * slot + 4] = (
                unwrap(point["x"]),
                unwrap(point["y"]),
                1 if flag in (None, []) else unwrap(flag),
                MISSING_SCORE if score in (None, []) else unwrap(score),
            )
        self._points.add(row, position)
        self._present.append(present)

    def people(self) -> People:
        """Return all people."""
        count = len(self._frame)
        points = self._points.table().reshape(count, len(SLOTS), 4)
        heads = self._heads.table()
        heads[:, 2:] -= heads[:, :2]
        return People(
            frame=np.array(self._frame, dtype=np.int32),
            annotation_id=np.full(count, -1, dtype=np.int64),
            track_id=np.array(self._track_id, dtype=np.int64),
            boxes_xywh=np.full((count, 4), np.nan),
            heads_xywh=heads,
            keypoints=np.ascontiguousarray(points[:, :, :3]),
            present=np.array(self._present, dtype=bool).reshape(count, len(SLOTS)),
            scores=np.ascontiguousarray(points[:, :, 3]),
            person_scores=self._person_score.table()[:, 0],
        )
