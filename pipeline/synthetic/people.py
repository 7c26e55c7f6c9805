"""People of a scene: who they are, where they go, and what the camera makes of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.actions import ANGLE, Movement, draw_movement
from pipeline.synthetic.appearance import draw_outfit, make_sprites
from pipeline.synthetic.figures import POINT, Body, body_points, draw_body
from pipeline.synthetic.parts import PART, PARTS, Sprite

Array = NDArray[np.float64]

FOCAL = 300.0
"""Pixels per unit of slope; with it a head size is FOCAL / distance pixels."""

_STARTS = np.array([POINT[part.start] for part in PARTS])
_ENDS = np.array([POINT[part.end] for part in PARTS])
_WIDTHS = np.array([part.width for part in PARTS])
_DEPTHS = np.array([part.depth for part in PARTS])
_WRAPPED = np.array([part.wrapped for part in PARTS])
_BIAS = np.array([part.bias for part in PARTS])
# A bone that points at the camera keeps this share of its length, as round things do.
_SHORTEST = 0.3


@dataclass(frozen=True, slots=True)
class Ground:
    """The floor: the horizon's row and the camera's height in head sizes."""

    horizon: float
    height: float
    middle: float
    """Column of the optical axis."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person through a video.

    The place is that of the ground point in head sizes: x to the right, z away from the camera,
    at time 0, with a constant velocity per frame.
    """

    body: Body
    movement: Movement
    sprites: tuple[Sprite, ...]
    place: Array
    velocity: Array
    yaw: float
    sway: Array
    """Amplitude in radians, rate in cycles per frame and lag in turns of the turning body."""
    labeled: bool


@dataclass(frozen=True, slots=True)
class Stance:
    """A person as the camera sees them at N moments.

    Attributes:
        points: Picture places of ``figures.POINTS``, ``(N, J, 2)``.
        nearness: How much nearer than the body's axis each point is, head sizes, ``(N, J)``.
        parts: Maps from part coordinates (s, v, 1) to the picture, ``(N, len(PARTS), 2, 3)``.
        turns: Angle by which wrapped parts are turned, ``(N, len(PARTS))``.
        order: Parts from far to near, ``(N, len(PARTS))``.
        foot: The ground point below the pelvis, ``(N, 2)``.
        distance: Distance of the person in head sizes, ``(N,)``.
        scale: Pixels per head size, ``(N,)``.
    """

    points: Array
    nearness: Array
    parts: Array
    turns: Array
    order: NDArray[np.int64]
    foot: Array
    distance: Array
    scale: Array


def _part_maps(points: Array, lengths: Array, turns: Array, scale: Array) -> Array:
    """Return the maps from part coordinates to the picture, ``(N, len(PARTS), 2, 3)``.

    Args:
        points: Picture places of the points, ``(N, J, 2)``.
        lengths: Bone length of every part in pixels, ``(N, len(PARTS))``.
        turns: Turn of every part in radians, ``(N, len(PARTS))``.
        scale: Pixels per head size, ``(N,)``.
    """
    start, end = points[:, _STARTS], points[:, _ENDS]
    axis = end - start
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    direction = np.where(length > 1e-6, axis / np.maximum(length, 1e-6), [0.0, 1.0])
    shown = np.maximum(length, _SHORTEST * lengths[..., None])
    # An ellipse's silhouette: half-width of a body that is turned about its axis.
    half = np.hypot(_WIDTHS * np.cos(turns), _DEPTHS * np.sin(turns))
    half = np.where(_WRAPPED, half, _WIDTHS) * scale[:, None]
    maps = np.empty((*length.shape[:2], 2, 3))
    maps[..., 0, 0] = direction[..., 1] * half
    maps[..., 1, 0] = -direction[..., 0] * half
    maps[..., 1] = direction * shown
    maps[..., 2] = (start + end) / 2 - direction * shown / 2
    return maps


@dataclass(frozen=True, slots=True)
class View:
    """What a person is seen with: the floor and the camera's maps at the same moments."""

    ground: Ground
    camera: Array
    """``(N, 2, 3)``."""


def stance(person: Person, times: Array, view: View) -> Stance:
    """Return how a person appears at times in frames, ``(N,)``."""
    angles = person.movement.angles(times)
    sway, rate, lag = person.sway
    yaw = person.yaw + sway * np.sin(2 * np.pi * (rate * times + lag))
    space = body_points(person.body, angles, yaw)
    place = person.place + person.velocity * times[:, None]
    distance = np.maximum(place[:, 1], 4.0)
    scale = FOCAL / distance
    root = np.stack(
        [
            view.ground.middle + place[:, 0] * scale,
            view.ground.horizon + view.ground.height * scale,
        ],
        axis=-1,
    )
    flat = root[:, None] + space[..., :2] * scale[:, None, None]
    flat = np.concatenate([flat, root[:, None]], axis=1)
    points = flat @ view.camera[:, :, :2].transpose(0, 2, 1) + view.camera[:, None, :, 2]
    zoom = np.hypot(view.camera[:, 0, 0], view.camera[:, 1, 0])
    scale = scale * zoom
    turns = np.zeros((len(times), len(PARTS)))
    turns[:, _WRAPPED] = yaw[:, None]
    turns[:, PART["head"]] += angles[:, ANGLE["head_turn"]]
    turns[:, PART["torso"]] += angles[:, ANGLE["twist"]]
    bones = np.linalg.norm(space[:, _STARTS] - space[:, _ENDS], axis=-1)
    nearness = -space[..., 2]
    depth = (nearness[:, _STARTS] + nearness[:, _ENDS]) / 2 + _BIAS
    return Stance(
        points=points[:, :-1],
        nearness=nearness,
        parts=_part_maps(points[:, :-1], bones * scale[:, None], turns, scale),
        turns=turns,
        order=np.argsort(depth, axis=1, kind="stable"),
        foot=points[:, -1],
        distance=distance,
        scale=scale,
    )


def _bone_lengths(body: Body) -> Array:
    """Return the length of every part's bone in head sizes, standing straight."""
    space = body_points(body, np.zeros((1, len(ANGLE))), np.zeros(1))[0]
    return np.asarray(np.linalg.norm(space[_STARTS] - space[_ENDS], axis=-1))


@dataclass(frozen=True, slots=True)
class Role:
    """What the scene asks of a person."""

    action: str
    pace: float
    place: Array
    """At the middle of the video."""
    yaw: float
    middle: float
    """Time of the middle in frames."""
    labeled: bool = True


def draw_person(rng: np.random.Generator, role: Role) -> Person:
    """Draw a person for a role."""
    body = draw_body(rng)
    movement = draw_movement(rng, role.action, role.pace)
    outfit = draw_outfit(rng)
    facing = np.array([-np.sin(role.yaw), -np.cos(role.yaw)])
    velocity = facing * movement.stride * movement.cycles + rng.normal(0, 0.012, 2)
    scale = float(np.clip(1.25 * FOCAL / role.place[1], 6, 30))
    return Person(
        body=body,
        movement=movement,
        sprites=make_sprites(outfit, _bone_lengths(body), scale, rng),
        place=role.place - velocity * role.middle,
        velocity=velocity,
        yaw=role.yaw,
        sway=np.array([abs(rng.normal(0, 0.12)), rng.uniform(0.005, 0.03), rng.random()]),
        labeled=role.labeled,
    )
