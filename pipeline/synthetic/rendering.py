"""Paint a scene: layers from far to near become pictures, part maps and labels.

The calls that others use:

- ``render_video(spec)`` returns pictures and labels of a video;
- ``pipeline.synthetic.motion.exact_flow(spec, frame)`` returns the flow to the next frame.

Light is added and blurred in linear light (gamma 2.2); only finished pictures are display values.
Shapes: T frames, P people with labels, H x W pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.skeleton import SLOTS
from pipeline.synthetic.appearance import PART
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.degradation import out_of_focus, smeared
from pipeline.synthetic.figures import POINT
from pipeline.synthetic.people import Stance, View, stance
from pipeline.synthetic.scene import Scene, build_scene

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Polygon = tuple[tuple[float, float], ...]

PARTS_PER_PERSON = 16
"""A part map holds person x 16 + part; -1 is background and props, -2 a cover."""
COVERED = -2

_LEVELS = 4095
_DISPLAY = (np.linspace(0, 1, _LEVELS + 1) ** (1 / 2.2) * 255).astype(np.float32)
"""Display values 0..255 of linear light in 4096 steps."""


@dataclass(frozen=True, slots=True)
class SyntheticVideo:
    """Pictures and labels of a video; people's columns are their track ids.

    Attributes:
        images: RGB uint8, ``(T, H, W, 3)``.
        keypoints: xy in pixels, pixel centres at integers, ``(T, P, 17, 2)``; exact also where a
            joint is hidden or outside the picture, 0 for the ears.
        visible: ``(T, P, 17)``: 0 none or outside the picture, 1 hidden, 2 seen.
        boxes: xywh in pixels, ``(T, P, 4)``: the labelled joints' extent times 1.3, as in
            PoseTrack18's files, cut at the picture's edges; 0 where absent.
        head_boxes: xywh in pixels, ``(T, P, 4)``; not cut.
        present: Whether the person is labelled in that frame, ``(T, P)``.
        tags: What is wrong with each frame: clean, blurred, covered or crossing.
        labelled: Whether each frame is labelled, ``(T,)``.
        ignored: Polygons per frame around people without labels.
    """

    images: NDArray[np.uint8]
    keypoints: Array
    visible: NDArray[np.uint8]
    boxes: Array
    head_boxes: Array
    present: NDArray[np.bool_]
    tags: tuple[str, ...]
    labelled: NDArray[np.bool_]
    ignored: tuple[tuple[Polygon, ...], ...]


def _paint(
    canvas: Image, parts: NDArray[np.int16] | None, picture: Image, place: Array, label: int
) -> None:
    """Lay a sprite over a canvas, and its label over the part map where it hides half or more."""
    height, width = canvas.shape[:2]
    rows, columns = picture.shape[:2]
    corners = np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    x, y = place @ corners
    left, right = max(int(x.min()), 0), min(int(x.max()) + 2, width)
    top, bottom = max(int(y.min()), 0), min(int(y.max()) + 2, height)
    if left >= right or top >= bottom:
        return
    moved = place - np.array([[0, 0, left], [0, 0, top]])
    layer = cv2.warpAffine(picture, moved, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    alpha = layer[..., 3:]
    region = canvas[top:bottom, left:right]
    region *= 1 - alpha
    region += layer[..., :3]
    if parts is not None:
        parts[top:bottom, left:right][alpha[..., 0] > 0.5] = label


def _paint_person(
    scene: Scene,
    index: int,
    seen: Stance,
    moment: int,
    canvas: Image,
    parts: NDArray[np.int16] | None,
) -> None:
    """Paint one person's parts from far to near."""
    sprites = scene.people[index].sprites
    for part in seen.order[moment].tolist():
        sprite = sprites[part]
        picture = sprite.turned(float(seen.turns[moment, part]))
        place = seen.parts[moment, part] @ sprite.to_part
        _paint(canvas, parts, picture, place, index * PARTS_PER_PERSON + part)


def _paint_layers(
    scene: Scene,
    stances: tuple[Stance, ...],
    moment: int,
    camera: Array,
    parts: NDArray[np.int16] | None,
) -> Image:
    """Return the picture of one moment in linear light, ``(H, W, 3)``; fill the part map."""
    spec = scene.spec
    moved = np.vstack([camera, [0, 0, 1]])
    backdrop = (moved @ np.vstack([scene.background.place, [0, 0, 1]]))[:2]
    canvas: Image = cv2.warpAffine(
        scene.background.picture,
        backdrop,
        (spec.width, spec.height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    things = [(seen.distance[moment], index) for index, seen in enumerate(stances)]
    things += [(prop.distance, -1 - index) for index, prop in enumerate(scene.props)]
    for _, index in sorted(things, reverse=True):
        if index >= 0:
            _paint_person(scene, index, stances[index], moment, canvas, parts)
        else:
            prop = scene.props[-1 - index]
            place = (moved @ np.vstack([prop.place, [0, 0, 1]]))[:2]
            _paint(canvas, parts, prop.picture, place, -1)
    return canvas


def _size(scene: Scene, frame: int) -> float:
    """Return the usual head size of the labelled people in pixels."""
    return float(np.median([seen.scale[frame] for seen in scene.stances[: scene.labelled]]))


def _exposed(scene: Scene, frame: int) -> Image:
    """Return the mean of a blurred frame's sub-frames in linear light."""
    fault = scene.faults[frame]
    times = frame + fault.moments
    camera = scene.camera.matrices(times)
    camera[:, :, 2] += fault.shake * _size(scene, frame)
    view = View(scene.ground, camera)
    stances = tuple(stance(person, times, view) for person in scene.people)
    moments = [
        _paint_layers(scene, stances, moment, camera[moment], None) for moment in range(len(times))
    ]
    light = np.asarray(np.mean(moments, axis=0), np.float32)
    steps = np.diff(fault.shake * _size(scene, frame), axis=0)
    return smeared(light, steps.mean(axis=0)) if len(steps) else light


def part_map(scene: Scene, frame: int) -> tuple[Image, NDArray[np.int16]]:
    """Return a frame at its exact time in linear light, covers included, and its part map.

    Returns:
        The picture ``(H, W, 3)``, and int16 ``(H, W)``: person x 16 + part,
        -1 on background and props, ``COVERED`` on what hides limbs in this frame only.
    """
    spec = scene.spec
    parts = np.full((spec.height, spec.width), -1, np.int16)
    camera = scene.camera.matrices(np.array([float(frame)]))[0]
    canvas = _paint_layers(scene, scene.stances, frame, camera, parts)
    for cover in scene.covers[frame]:
        _paint(canvas, parts, cover.picture, cover.place, COVERED)
    return canvas, parts


def _displayed(scene: Scene, frame: int, light: Image) -> NDArray[np.uint8]:
    """Return display values of linear light, with the sensor's grain."""
    steps = np.clip(light * _LEVELS, 0, _LEVELS).astype(np.uint16)
    # The grain is one field seen through a window that jumps: cheaper than a draw per frame.
    top, left = (frame * 37) % 64, (frame * 23) % 64
    height, width = light.shape[:2]
    grain = scene.grain[top : top + height, left : left + width]
    return np.asarray(np.clip(_DISPLAY[steps] + grain + 0.5, 0, 255), np.uint8)


_OWN_PARTS = {
    "nose": ("head",),
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


def _visibility(
    scene: Scene, frame: int, person: int, parts: NDArray[np.int16]
) -> NDArray[np.uint8]:
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


def _labelled_box(keypoints: Array, visible: NDArray[np.uint8], height: int, width: int) -> Array:
    """Return the box of a person's labelled joints, xywh, enlarged 1.3 times and cut."""
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


def _overlap(boxes: Array) -> float:
    """Return the largest intersection over union of two boxes xywh, ``(P, 4)``."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.clip(sides, 0, None).prod(axis=-1)
    area = boxes[:, 2] * boxes[:, 3]
    union = area[:, None] + area - shared
    np.fill_diagonal(shared, 0)
    return float((shared / np.maximum(union, 1e-9)).max(initial=0.0))


_CROSSING = 0.5
"""Two boxes that share this much of their union count as people who cross."""


def _ignored(scene: Scene, frame: int) -> tuple[Polygon, ...]:
    """Return one rectangle around the people without labels, if any is in the picture."""
    far = scene.stances[scene.labelled :]
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


def render_video(spec: VideoSpec) -> SyntheticVideo:
    """Render a video; the same spec gives the same bytes."""
    scene = build_scene(spec)
    frames, people = spec.frames, scene.labelled
    images = np.empty((frames, spec.height, spec.width, 3), np.uint8)
    keypoints = np.zeros((frames, people, len(SLOTS), 2))
    visible = np.zeros((frames, people, len(SLOTS)), np.uint8)
    boxes, head_boxes = np.zeros((frames, people, 4)), np.zeros((frames, people, 4))
    present = np.zeros((frames, people), np.bool_)
    slots = [slot for slot, name in enumerate(SLOTS) if name in POINT]
    points = [POINT[SLOTS[slot]] for slot in slots]
    tags = []
    for frame, fault in enumerate(scene.faults):
        light, parts = part_map(scene, frame)
        if fault.tag == "blurred" and len(fault.moments) > 1:
            light = _exposed(scene, frame)
        light = out_of_focus(light, fault.defocus * _size(scene, frame))
        images[frame] = _displayed(scene, frame, light)
        for person in range(people):
            keypoints[frame, person, slots] = scene.stances[person].points[frame, points]
            visible[frame, person] = _visibility(scene, frame, person, parts)
            present[frame, person] = (visible[frame, person] > 0).sum() >= 4 and 2 in visible[
                frame, person
            ]
            if present[frame, person]:
                boxes[frame, person] = _labelled_box(
                    keypoints[frame, person], visible[frame, person], spec.height, spec.width
                )
                head_boxes[frame, person] = _head_box(scene.stances[person], frame)
        crossing = fault.tag == "clean" and _overlap(boxes[frame][present[frame]]) > _CROSSING
        tags.append("crossing" if crossing else fault.tag)
    return SyntheticVideo(
        images=images,
        keypoints=keypoints,
        visible=visible,
        boxes=boxes,
        head_boxes=head_boxes,
        present=present,
        tags=tuple(tags),
        labelled=np.array([spec.labelled(frame) for frame in range(frames)]),
        ignored=tuple(_ignored(scene, frame) for frame in range(frames)),
    )
