"""Parser of PoseTrack 2018, PoseTrack 2021 and single-video COCO-video files.

All three have ``images``, ``annotations`` and ``categories``. PoseTrack 2021 adds the key
``has_labeled_person`` to images (anDoer/PoseTrack21, doc/dataset_structure.md). COCO-video files
add ``videos``, ``video_id`` and ``instance_id``.

Ground truth may have the 17 keypoints of COCO or the 15 of JHMDB. Joints that they lack are
unlabeled: they have weight 0 in training.
"""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.posetrack.annotations import (
    MALFORMED,
    MISSING_SCORE,
    SLOT_OF,
    Annotations,
    NumberTable,
    People,
    RegionTable,
)
from pipeline.core.skeleton import JOINTS, SLOTS

_WITHOUT_SLOT = ("left_eye", "right_eye", "head", "face", "belly")
"""Keypoints of COCO and JHMDB that are no joints of PoseTrack; they are ignored."""


def parse(values: dict[str, Any], path: Path, *, truth: bool) -> Annotations:
    """Parse the content of a file.

    Args:
        values: Content of the file.
        path: Path of the file, for error messages.
        truth: Whether the file is ground truth. For predictions, boxes and ignore regions are not
            read, and keypoints are required.

    Raises:
        ValueError: If a value is missing or has another type, an image id is not unique, an
            annotation refers to an unknown image, keypoints do not match the categories, or ground
            truth contains several videos or a duplicate annotation id.
    """
    images = _list_of(values, "images", path)
    try:
        entries = {image["id"]: i for i, image in enumerate(images)}
        image_ids = np.array(array("q", [image["id"] for image in images]), dtype=np.int64)
        names = tuple(image["file_name"] + "" for image in images)
        sizes = array("i", [image.get(side, 0) for image in images for side in ("height", "width")])
        has_labeled_flags = all(image.get("is_labeled") is not None for image in images)
        labeled = array("b", [image.get("is_labeled") or 0 for image in images])
        tags = tuple(image.get("tag", "") + "" for image in images)
        videos = {image.get("video_id", image.get("vid_id")) for image in images}
    except MALFORMED as error:
        raise ValueError(
            f"{path}: images: expected objects with an integer `id`, a string `file_name` and, "
            "optionally, integer `height` and `width` and a boolean `is_labeled`, got "
            f"{error!r}; write these keys for every image"
        ) from error
    _check_images(path, len(images), len(entries), len(videos) if truth else 1)
    people = _people(values, entries, path, truth=truth)
    has_people = np.bincount(people.frame, minlength=len(images)) > 0
    return Annotations(
        path=path,
        format="posetrack21" if "has_labeled_person" in images[0] else "posetrack18",
        file_names=names,
        image_ids=image_ids,
        image_sizes=np.array(sizes, dtype=np.int32).reshape(-1, 2),
        labeled=np.array(labeled, dtype=bool) if has_labeled_flags else has_people,
        has_labeled_flags=has_labeled_flags,
        tags=tags,
        regions=_regions(images if truth else [], path).table(),
        people=people,
    )


def slot_order(values: dict[str, Any], path: Path, *, truth: bool) -> NDArray[np.int64]:
    """Return the slot of every keypoint name of the first category, ``(names,)``; -1 if ignored.

    Args:
        values: Content of the file.
        path: Path of the file, for error messages.
        truth: Whether the file is ground truth, which may lack joints.

    Raises:
        ValueError: If the category is missing, has an unknown or duplicate keypoint name, or has
            none of the 15 joints; for predictions, if it lacks one of them.
    """
    try:
        names = values["categories"][0]["keypoints"]
        slots = [-1 if name in _WITHOUT_SLOT else SLOT_OF[name] for name in names]
    except MALFORMED as error:
        raise ValueError(
            f"{path}: categories[0].keypoints: expected PoseTrack's or COCO's keypoint names, got "
            f"{error!r}; list the names in the order of the keypoints, for example "
            f"{', '.join(SLOTS[:3])}, ..."
        ) from error
    used = [slot for slot in slots if slot >= 0]
    missing = [name for name in JOINTS if SLOT_OF[name] not in used]
    if len(missing) > (len(JOINTS) - 1 if truth else 0) or len(set(used)) != len(used):
        raise ValueError(
            f"{path}: categories[0].keypoints: expected the 15 PoseTrack joints (optionally the "
            f"ears) once each, got {names!r:.200}, without {missing}; list all of them"
        )
    return np.array(slots, dtype=np.int64)


def _list_of(values: dict[str, Any], key: str, path: Path) -> list[Any]:
    found = values.get(key)
    if type(found) is not list:
        raise ValueError(
            f"{path}: {key}: expected a list, got {found!r:.60}; a PoseTrack 2018 or 2021 file "
            "has `images`, `annotations` and `categories`"
        )
    return found


def _check_images(path: Path, images: int, ids: int, videos: int) -> None:
    if images == 0:
        raise ValueError(f"{path}: images: expected at least one, got none; remove the file")
    if ids != images:
        raise ValueError(
            f"{path}: images: expected {images} different ids, got {ids}; make them unique"
        )
    if videos > 1:
        raise ValueError(
            f"{path}: images: expected the frames of one video, got {videos} different `vid_id` or "
            "`video_id`; write one file per video"
        )


class _Columns:
    """Columns of all annotations, filled one annotation at a time."""

    def __init__(self, path: Path, names: int) -> None:
        self.frame = array("i")
        self.annotation_id = array("q")
        self.track_id = array("q")
        self.keypoints = NumberTable(path, "annotations[{}].keypoints", 3 * names)
        self.scores = NumberTable(path, "annotations[{}].scores", names)
        self.person_score = NumberTable(path, "annotations[{}].score", 1)
        self.box = NumberTable(path, "annotations[{}].bbox", 4)
        self.head = NumberTable(path, "annotations[{}].bbox_head", 4)

    def add(self, person: dict[str, Any], frame: int, position: int, *, truth: bool) -> None:
        """Append an annotation of the file."""
        self.frame.append(frame)
        self.annotation_id.append(person.get("id", -1))
        self.track_id.append(person.get("track_id", person.get("instance_id", -1)))
        # Ground truth may lack keypoints: some people in PoseTrack have only a head box.
        if truth and not person.get("keypoints"):
            self.keypoints.add_missing()
        else:
            self.keypoints.add(person["keypoints"], position)
        _add(self.scores, person.get("scores"), position)
        score = person.get("score")
        _add(self.person_score, None if score is None else [score], position)
        _add(self.box, person.get("bbox") if truth else None, position)
        _add(self.head, person.get("bbox_head") if truth else None, position)


def _add(table: NumberTable, values: object, position: int) -> None:
    if values is None or values == []:
        table.add_missing()
    else:
        table.add(values, position)


def _people(values: dict[str, Any], entries: dict[int, int], path: Path, *, truth: bool) -> People:
    slots = slot_order(values, path, truth=truth)
    columns = _Columns(path, len(slots))
    for position, person in enumerate(_list_of(values, "annotations", path)):
        try:
            frame = entries.get(person["image_id"])
            if frame is None:
                raise ValueError(
                    f"{path}: annotations[{position}].image_id: expected the id of one of the "
                    f"file's images, got {person['image_id']!r}; add the image or remove the person"
                )
            columns.add(person, frame, position, truth=truth)
        except MALFORMED as error:
            raise ValueError(
                f"{path}: annotations[{position}]: expected an object with `image_id`, "
                f"`keypoints` and integer ids, got {error!r}; correct or remove that entry"
            ) from error
    if truth:
        _check_unique_ids(columns.annotation_id, path)
    return _sorted(columns, slots)


def _check_unique_ids(annotation_id: Sequence[int], path: Path) -> None:
    ids, counts = np.unique(np.array(annotation_id, dtype=np.int64), return_counts=True)
    duplicates = ids[(counts > 1) & (ids != -1)]
    if len(duplicates):
        raise ValueError(
            f"{path}: annotations: expected unique ids, got {int(duplicates[0])} more than once; "
            "renumber the annotations"
        )


def _sorted(columns: _Columns, slots: NDArray[np.int64]) -> People:
    frame = np.array(columns.frame, dtype=np.int32)
    order = np.argsort(frame, kind="stable")
    used = slots >= 0
    given = np.nan_to_num(columns.keypoints.table()).reshape(len(frame), len(slots), 3)
    if not used.all():
        given = _from_coco_flags(given)
    keypoints = np.zeros((len(frame), len(SLOTS), 3))
    keypoints[:, slots[used]] = given[:, used]
    scores = np.full((len(frame), len(SLOTS)), MISSING_SCORE)
    scores[:, slots[used]] = np.nan_to_num(columns.scores.table(), nan=MISSING_SCORE)[:, used]
    return People(
        frame=frame[order],
        annotation_id=np.array(columns.annotation_id, dtype=np.int64)[order],
        track_id=np.array(columns.track_id, dtype=np.int64)[order],
        boxes_xywh=columns.box.table()[order],
        heads_xywh=columns.head.table()[order],
        keypoints=keypoints[order],
        # poseval, convert.py: only a slot of three zeros is unlabeled, not (x, y, 0) or (0, 0, 1).
        present=(keypoints != 0).any(axis=2)[order],
        scores=scores[order],
        person_scores=columns.person_score.table()[order, 0],
    )


def _from_coco_flags(keypoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert COCO's flags (0 unlabeled, 1 occluded, 2 visible) to PoseTrack's (0 occluded, 1).

    COCO's unlabeled keypoints become three zeros, which is what marks them in PoseTrack.
    """
    flags = keypoints[:, :, 2:]
    converted: NDArray[np.float64] = np.where(flags > 0, keypoints, 0)
    converted[:, :, 2:] = flags > 1
    return converted


def _regions(images: list[dict[str, Any]], path: Path) -> RegionTable:
    table = RegionTable(path)
    for frame, image in enumerate(images):
        rows, columns = image.get("ignore_regions_y") or [], image.get("ignore_regions_x") or []
        if type(columns) is not list or type(rows) is not list or len(columns) != len(rows):
            raise ValueError(
                f"{path}: images[{frame}]: expected as many polygons in `ignore_regions_x` as in "
                f"`ignore_regions_y`, got {columns!r:.60} and {rows!r:.60}; correct that frame"
            )
        for x, y in zip(columns, rows, strict=True):
            table.add(frame, x, y)
    return table
