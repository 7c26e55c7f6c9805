"""Labels of one frame: which joints are seen, boxes of people and heads, overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.figures import POINT
from pipeline.synthetic.painting import PARTS_PER_PERSON, PartMap
from pipeline.synthetic.parts import PART
from pipeline.synthetic.people import Stance
from pipeline.synthetic.scene import Scene

Array = NDArray[np.float64]
Polygon = tuple[tuple[float, float], ...]
"""Corners xy in pixels."""

_LABELED = [slot for slot, name in enumerate(SLOTS) if name in POINT]
_LABELED_POINTS = [POINT[SLOTS[slot]] for slot in _LABELED]

_OWN_PARTS = {
    "nose": ("head", "nose"),
    "head_bottom": ("head", "neck", "torso"),
    "head_top": ("head",),
    "shoulder": ("torso", "upper_arm"),
    "elbow": ("upper_arm", "lower_arm"),
    "wrist": ("lower_arm",),
    "hip": ("torso", "hips", "thigh"),
    "knee": ("thigh", "shank"),
    "ankle": ("shank", "foot"),
}
"""Parts at which a joint counts as seen."""

_TRUNK = ("torso", "hips")
_BEHIND = {"shoulder": -0.9, "hip": -0.6}
"""Beyond this many head sizes behind the body's axis the trunk hides a joint."""


def _seen_parts(slot: str, nearness: float) -> list[int]:
    """Return the parts at which a joint that lies so near can be seen."""
    side, _, joint = slot.partition("_")
    if side not in ("left", "right"):
        return [PART[name] for name in _OWN_PARTS[slot]]
    # Seen from the side, both shoulders and both hips lie in one place: either limb shows them.
    behind = nearness < _BEHIND.get(joint, np.inf)
    sides = (side,) if behind else ("left", "right")
    limbs = [name for name in _OWN_PARTS[joint] if name not in _TRUNK]
    trunk = [] if behind else [name for name in _OWN_PARTS[joint] if name in _TRUNK]
    return [PART[name] for name in trunk] + [
        PART[f"{one}_{name}"] for one in sides for name in limbs
    ]


def _visibility(scene: Scene, frame: int, person: int, parts: PartMap) -> NDArray[np.uint8]:
    """Return 0 outside the picture, 1 hidden, 2 seen for every slot, ``(17,)``."""
    seen = scene.stances[person]
    height, width = parts.shape
    visible = np.zeros(len(SLOTS), np.uint8)
    for slot, name in enumerate(SLOTS):
        if name.endswith("_ear"):
            continue
        x, y = np.round(seen.points[frame, POINT[name]]).astype(int).tolist()
        if not (0 <= x < width and 0 <= y < height):
            continue
        visible[slot] = 1
        nearness = float(seen.nearness[frame, POINT[name]])
        if name == "nose" and nearness < 0:
            continue
        window = parts[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].ravel().tolist()
        own = {person * PARTS_PER_PERSON + part for part in _seen_parts(name, nearness)}
        visible[slot] = 2 if own.intersection(window) else 1
    return visible


def _labeled_box(keypoints: Array, visible: NDArray[np.uint8], height: int, width: int) -> Array:
    """Return the box of a person's labeled joints, xywh, enlarged 1.3 times and cut."""
    points = keypoints[visible > 0]
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) * 0.65, 2.0)
    low = np.clip(middle - half, 0, [width - 1, height - 1])
    high = np.clip(middle + half, 0, [width - 1, height - 1])
    return np.concatenate([low, high - low])


def _head_box(seen: Stance, frame: int) -> Array:
    """Return the head's box, xywh: as high as the head is long, 0.8 times as wide.

    PoseTrack's head boxes span upper neck to crown; 0.6 x the diagonal is then the head size.
    """
    top, bottom = seen.points[frame, POINT["head_top"]], seen.points[frame, POINT["head_bottom"]]
    middle = (top + bottom) / 2
    height = 1.3 * seen.scale[frame]
    half = np.array([0.79 * height, height]) / 2
    return np.concatenate([middle - half, 2 * half])


def overlap(boxes: Array) -> float:
    """Return the largest intersection over union of two boxes xywh, ``(P, 4)``."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.clip(sides, 0, None).prod(axis=-1)
    area = boxes[:, 2] * boxes[:, 3]
    union = area[:, None] + area - shared
    np.fill_diagonal(shared, 0)
    return float((shared / np.maximum(union, 1e-9)).max(initial=0.0))


def ignored(scene: Scene, frame: int) -> tuple[Polygon, ...]:
    """Return one rectangle around the people without labels, if any is in the picture."""
    far = scene.stances[scene.labeled :]
    if not far:
        return ()
    places = np.concatenate([seen.points[frame] for seen in far])
    pad = max(seen.scale[frame] for seen in far)
    limit = np.array([scene.spec.width - 1, scene.spec.height - 1])
    low = np.clip(places.min(axis=0) - pad, 0, limit)
    high = np.clip(places.max(axis=0) + pad, 0, limit)
    (left, top), (right, bottom) = np.round(low).tolist(), np.round(high).tolist()
    if right - left < 2 or bottom - top < 2:
        return ()
    return (((left, top), (right, top), (right, bottom), (left, bottom)),)


class FrameLabels(NamedTuple):
    """Labels of P people in one frame; the fields are those of ``SyntheticVideo``."""

    keypoints: Array
    visible: NDArray[np.uint8]
    boxes: Array
    head_boxes: Array
    present: NDArray[np.bool_]


def frame_labels(scene: Scene, frame: int, parts: PartMap) -> FrameLabels:
    """Return the labels of one frame from its part map.

    A person is labeled if at least 4 joints lie in the picture and one of them is seen.
    """
    people = scene.labeled
    keypoints = np.zeros((people, len(SLOTS), 2))
    visible = np.zeros((people, len(SLOTS)), np.uint8)
    boxes, head_boxes = np.zeros((people, 4)), np.zeros((people, 4))
    present = np.zeros(people, np.bool_)
    for person, seen in enumerate(scene.stances[:people]):
        keypoints[person, _LABELED] = seen.points[frame, _LABELED_POINTS]
        visible[person] = _visibility(scene, frame, person, parts)
        present[person] = (visible[person] > 0).sum() >= 4 and 2 in visible[person]
        if present[person]:
            boxes[person] = _labeled_box(keypoints[person], visible[person], *parts.shape)
            head_boxes[person] = _head_box(seen, frame)
    return FrameLabels(keypoints, visible, boxes, head_boxes, present)
