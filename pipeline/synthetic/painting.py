"""Paint a scene: layers from far to near become pictures in linear light, and part maps.

Light is added and blurred in linear light (gamma 2.2); only finished pictures are display values.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.degradation import out_of_focus, smeared
from pipeline.synthetic.people import Stance, View, stance
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.scenery import SHADOW, SHADOW_REACH

Array = NDArray[np.float64]
Image = NDArray[np.float32]
PartMap = NDArray[np.int16]

PARTS_PER_PERSON = 16
"""A part map holds person x 16 + part; -1 is background and props, -2 a cover."""
COVERED = -2

_LEVELS = 4095
_DISPLAY = (np.linspace(0, 1, _LEVELS + 1) ** (1 / 2.2) * 255).astype(np.float32)
"""Display values 0..255 of linear light in 4096 steps."""


def _paint(canvas: Image, parts: PartMap | None, picture: Image, place: Array, label: int) -> None:
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
    scene: Scene, index: int, seen: Stance, moment: int, onto: tuple[Image, PartMap | None]
) -> None:
    """Paint one person's shadow, then their parts from far to near."""
    canvas, parts = onto
    half = np.array(SHADOW.shape[1::-1]) / 2
    reach = seen.scale[moment] * np.array(SHADOW_REACH) / half
    _paint(
        canvas,
        None,
        SHADOW,
        np.column_stack([np.diag(reach), seen.foot[moment] - reach * half]),
        -1,
    )
    for part in seen.order[moment].tolist():
        sprite = scene.people[index].sprites[part]
        picture = sprite.turned(float(seen.turns[moment, part]))
        place = seen.parts[moment, part] @ sprite.to_part
        _paint(canvas, parts, picture, place, index * PARTS_PER_PERSON + part)


def _paint_layers(
    scene: Scene,
    stances: tuple[Stance, ...],
    moment: int,
    camera: Array,
    parts: PartMap | None,
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
            _paint_person(scene, index, stances[index], moment, (canvas, parts))
        else:
            prop = scene.props[-1 - index]
            place = (moved @ np.vstack([prop.place, [0, 0, 1]]))[:2]
            _paint(canvas, parts, prop.picture, place, -1)
    return canvas


def _size(scene: Scene, frame: int) -> float:
    """Return the usual head size of the labeled people in pixels."""
    return float(np.median([seen.scale[frame] for seen in scene.stances[: scene.labeled]]))


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


def part_map(scene: Scene, frame: int) -> tuple[Image, PartMap]:
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


def photograph(scene: Scene, frame: int) -> tuple[NDArray[np.uint8], PartMap]:
    """Return a frame as the camera takes it, faults included, and the part map of its exact time.

    Returns:
        RGB uint8 ``(H, W, 3)``, and the part map as ``part_map`` returns it.
    """
    fault = scene.faults[frame]
    light, parts = part_map(scene, frame)
    if len(fault.moments) > 1:
        light = _exposed(scene, frame)
    light = out_of_focus(light, fault.defocus * _size(scene, frame))
    return _displayed(scene, frame, light), parts
