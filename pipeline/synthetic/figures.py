"""Jointed people: bone lengths, and the body's points in space for given joint angles.

A person is a tree of rigid bones. Space: x to the right of the picture, y down, z away from the
camera. The unit is the head size, poseval's 0.6 x diagonal of the head box, about a fifth of a
meter. At yaw 0 a person faces the camera, so that their left is at the right of the picture.

Shapes: N times, J points of ``POINTS``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.actions import ANGLE, ANGLES

Array = NDArray[np.float64]

POINTS = (
    *(slot for slot in SLOTS if not slot.endswith("_ear")),
    "brow",
    "pelvis",
    "chest",
    "left_toe",
    "right_toe",
    "left_hand",
    "right_hand",
)
"""Points of the body that are computed: PoseTrack's 15 joints, then seven that drawing needs."""
POINT = {name: index for index, name in enumerate(POINTS)}


@dataclass(frozen=True, slots=True)
class Body:
    """Bone lengths in head sizes."""

    crown: float
    torso: float
    shoulders: float
    hips: float
    upper_arm: float
    lower_arm: float
    thigh: float
    shank: float


def draw_body(rng: np.random.Generator) -> Body:
    """Draw bone lengths around those of the real sequences."""
    build = rng.normal(1.0, 0.04)
    lengths = rng.normal(1.0, 0.03, 8)
    # In pictures bones are foreshortened: these are longer than the medians of a projection.
    standard = np.array([1.34, 2.6, 1.98, 1.26, 1.4, 1.22, 2.12, 2.0])
    standard[1:] *= build
    crown, torso, shoulders, hips, upper_arm, lower_arm, thigh, shank = standard * lengths
    return Body(crown, torso, shoulders, hips, upper_arm, lower_arm, thigh, shank)


def _pitch(vectors: Array, angle: Array) -> Array:
    """Rotate about x so that what hangs down swings forward, towards -z at yaw 0."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([x + 0 * cos, y * cos + z * sin, z * cos - y * sin], axis=-1)


def _tilt(vectors: Array, angle: Array) -> Array:
    """Rotate about z so that what hangs down swings towards +x."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([x * cos + y * sin, y * cos - x * sin, z + 0 * cos], axis=-1)


def _yaw(vectors: Array, angle: Array) -> Array:
    """Rotate about y so that a person who faces the camera turns to the left of the picture."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([x * cos + z * sin, y + 0 * cos, z * cos - x * sin], axis=-1)


def _arm(body: Body, angles: Array, side: str) -> Array:
    """Return elbow, wrist and hand relative to the shoulder, ``(N, 3, 3)``."""
    sign = 1.0 if side == "left" else -1.0
    flex, abduct, turn, elbow = (
        angles[:, ANGLE[f"{side}_{name}"]]
        for name in ("arm_flex", "arm_abduct", "arm_turn", "elbow")
    )
    upper = np.zeros((len(angles), 3))
    upper[:, 1] = body.upper_arm
    lower = np.stack(
        [-sign * np.sin(elbow) * np.sin(turn), np.cos(elbow), -np.sin(elbow) * np.cos(turn)],
        axis=-1,
    )
    points = np.stack(
        [upper, upper + body.lower_arm * lower, upper + (body.lower_arm + 0.45) * lower], axis=1
    )
    return _tilt(_pitch(points, flex), sign * abduct)


def _leg(body: Body, angles: Array, side: str) -> Array:
    """Return knee, ankle and toe relative to the hip, ``(N, 3, 3)``."""
    sign = 1.0 if side == "left" else -1.0
    flex, abduct, knee = (
        angles[:, ANGLE[f"{side}_{name}"]] for name in ("hip_flex", "hip_abduct", "knee")
    )
    shank = np.stack([np.zeros_like(knee), np.cos(knee), np.sin(knee)], axis=-1)
    thigh = np.array([0.0, body.thigh, 0.0])
    ankle = thigh + body.shank * shank
    knees = np.broadcast_to(thigh, ankle.shape)
    joints = _pitch(np.stack([knees, ankle], axis=1), flex)
    # The ankle gives way: the foot follows the shank only in part.
    follow = 0.6 * np.clip(flex - knee, -1.2, 0.8)
    foot = np.broadcast_to([0.12 * sign, 0.24, -0.72], (len(angles), 1, 3))
    toe = joints[:, 1:] + _pitch(foot, follow)
    return _tilt(np.concatenate([joints, toe], axis=1), sign * abduct)


def _upper_body(body: Body, angles: Array) -> dict[str, Array]:
    """Return the points above the pelvis, relative to it, before the yaw."""
    count = len(angles)
    lean, roll, twist, turn, nod = (angles[:, ANGLE[name]] for name in ANGLES[:5])
    brow = -0.6 * body.crown
    head = np.array([[0, -body.crown, 0], [0, -0.42 * body.crown, -0.63], [0, brow, -0.5]])
    head = _yaw(_pitch(np.broadcast_to(head, (count, 3, 3)), -nod), turn)
    base = np.array([0.0, -body.torso - 0.32, -0.05])
    height = -body.torso + 0.1
    names = ["head_bottom", "head_top", "nose", "brow", "chest"]
    points = [
        np.broadcast_to(base, (count, 1, 3)),
        base + head,
        np.broadcast_to([0.0, -body.torso, 0.0], (count, 1, 3)),
    ]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = np.array([sign * body.shoulders / 2, height, 0.0])
        points += [np.broadcast_to(shoulder, (count, 1, 3)), shoulder + _arm(body, angles, side)]
        names += [f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hand")]
    stacked = np.concatenate(points, axis=1)
    turned = _tilt(_pitch(_yaw(stacked, twist), -lean), roll)
    return {name: turned[:, index] for index, name in enumerate(names)}


def _lower_body(body: Body, angles: Array) -> dict[str, Array]:
    """Return the points from the pelvis down, relative to it, before the yaw."""
    points = {"pelvis": np.zeros((len(angles), 3))}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip = np.array([sign * body.hips / 2, 0.0, 0.0])
        points[f"{side}_hip"] = np.broadcast_to(hip, (len(angles), 3))
        leg = hip + _leg(body, angles, side)
        for index, name in enumerate(("knee", "ankle", "toe")):
            points[f"{side}_{name}"] = leg[:, index]
    return points


def body_points(body: Body, angles: Array, yaw: Array) -> Array:
    """Return the body's points in space.

    Args:
        body: Bone lengths.
        angles: Joint angles in radians, ``(N, len(ANGLES))``.
        yaw: Turn about the vertical in radians, ``(N,)``; 0 faces the camera, a right angle the
            left edge of the picture.

    Returns:
        Points in head sizes, ``(N, J, 3)``. The origin lies on the ground below the pelvis; the
        lower foot touches the ground.
    """
    points = _upper_body(body, angles) | _lower_body(body, angles)
    stacked = _yaw(np.stack([points[name] for name in POINTS], axis=1), yaw)
    soles = [POINT[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "toe")]
    stacked[..., 1] -= (stacked[:, soles, 1] + np.array([0.34, 0.1] * 2)).max(axis=1)[:, None]
    return stacked
