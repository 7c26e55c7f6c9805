"""A scene: the people, things and camera of one video, drawn from its seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.actions import ACTIONS
from pipeline.synthetic.camera import Camera, draw_camera
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.degradation import Fault, draw_faults
from pipeline.synthetic.figures import POINT
from pipeline.synthetic.people import (
    FOCAL,
    Ground,
    Person,
    Role,
    Stance,
    View,
    draw_person,
    stance,
)
from pipeline.synthetic.scenery import (
    Layer,
    draw_background,
    draw_cover,
    draw_prop,
)

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_COVERABLE = tuple(
    POINT[f"{side}_{joint}"]
    for side in ("left", "right")
    for joint in ("elbow", "wrist", "wrist", "knee", "ankle", "knee", "ankle", "hip", "shoulder")
)
"""Limbs that covers fall on; often hidden ones are listed twice."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is needed to paint any frame of a video.

    ``people`` holds the labeled ones first: their positions are the track ids. ``stances`` are
    theirs at the frames; ``covers`` hold, per frame, what hides limbs in that frame only.
    """

    spec: VideoSpec
    ground: Ground
    camera: Camera
    background: Layer
    props: tuple[Layer, ...]
    people: tuple[Person, ...]
    labeled: int
    faults: tuple[Fault, ...]
    stances: tuple[Stance, ...]
    covers: tuple[tuple[Layer, ...], ...]
    grain: Image
    """Noise of the sensor in display values, larger than the picture."""


def _actions(rng: np.random.Generator, count: int) -> list[str]:
    """Draw actions; people of one scene often do alike."""
    names = list(ACTIONS)
    weights = np.array([action.weight for action in ACTIONS.values()])
    shared = str(rng.choice(names, p=weights / weights.sum()))
    return [
        shared if rng.random() < 0.35 else str(rng.choice(names, p=weights / weights.sum()))
        for _ in range(count)
    ]


def _place(
    rng: np.random.Generator, spec: VideoSpec, ground: Ground, taken: list[Array], far: float
) -> Array:
    """Draw a free place on the floor: the best of some, so that people rarely hide each other."""
    unit = spec.height / 240
    best, best_gap = np.zeros(2), -np.inf
    for _ in range(10):
        size = np.exp(rng.uniform(np.log(7.5), np.log(19.0 - far))) * unit
        column = rng.uniform(0.03, 0.97) * spec.width
        place = np.array([(column - ground.middle) / size, FOCAL / size])
        gap = min((abs(place[0] - other[0] * other[1] / place[1]) for other in taken), default=0.0)
        if gap > best_gap:
            best, best_gap = place, gap
    return best


def _crossing_roles(rng: np.random.Generator, spec: VideoSpec, ground: Ground) -> list[Role]:
    """Draw two people who walk past each other."""
    size = rng.uniform(10, 16) * spec.height / 240
    column = rng.uniform(0.25, 0.75) * spec.width
    moment = rng.uniform(0.2, 0.8) * spec.frames
    roles = []
    for yaw, nearer in ((np.pi / 2, 1.0), (-np.pi / 2, rng.uniform(0.85, 0.95))):
        place = np.array([(column - ground.middle) / size, FOCAL / size * nearer])
        action = "run" if rng.random() < 0.2 else "walk"
        roles.append(Role(action, 0.9, place, yaw + rng.normal(0, 0.2), moment))
    return roles


def _labeled_roles(rng: np.random.Generator, spec: VideoSpec, ground: Ground) -> list[Role]:
    """Draw the roles of the people who are labeled."""
    count = int(np.clip(np.round(np.exp(rng.normal(np.log(4.1), 0.65))), 1, 13))
    roles = _crossing_roles(rng, spec, ground) if count > 1 and rng.random() < 0.22 else []
    far = 5.0 if count > 6 else 0.0
    shared_pace = np.exp(rng.normal(-0.05, 0.5))
    for action in _actions(rng, count - len(roles)):
        place = _place(rng, spec, ground, [role.place for role in roles], far)
        yaw = float(rng.choice([0, np.pi / 2, -np.pi / 2, np.pi], p=(0.48, 0.15, 0.15, 0.22)))
        pace = shared_pace * np.exp(rng.normal(0, 0.25))
        roles.append(Role(action, pace, place, yaw + rng.normal(0, 0.35), spec.frames / 2))
    return roles


def _far_roles(rng: np.random.Generator, spec: VideoSpec, ground: Ground) -> list[Role]:
    """Draw a group of far people whom nobody labels."""
    if rng.random() > 0.35:
        return []
    column = rng.uniform(0.1, 0.9) * spec.width
    roles = []
    for _ in range(int(rng.integers(2, 6))):
        size = rng.uniform(2.8, 4.2) * spec.height / 240
        place = np.array([(column + rng.normal(0, 18) - ground.middle) / size, FOCAL / size])
        action = str(rng.choice(["stand", "talk", "walk"]))
        roles.append(Role(action, 0.6, place, rng.uniform(-3, 3), spec.frames / 2, labeled=False))
    return roles


def _draw_covers(
    rng: np.random.Generator, seed: int, faults: tuple[Fault, ...], stances: list[Stance]
) -> tuple[tuple[Layer, ...], ...]:
    """Draw what hides limbs in the covered frames; the covers of a burst move with their limbs."""

    def source(fault: Fault, *place: int) -> np.random.Generator:
        if fault.burst is None:
            return rng
        return np.random.default_rng((seed, 3, fault.burst, *place))

    covers: list[tuple[Layer, ...]] = []
    for frame, fault in enumerate(faults):
        layers: list[Layer] = []
        for person, seen in enumerate(stances if fault.covers else []):
            draws = source(fault, person)
            count = min(int(draws.poisson(fault.covers)), 5)
            for number, point in enumerate(draws.choice(_COVERABLE, count).tolist()):
                draws = source(fault, person, number)
                size = seen.scale[frame] * draws.uniform(1.3, 2.5)
                # Anywhere within the cover: its middle must not give the joint away.
                middle = seen.points[frame, point] + draws.uniform(-0.4, 0.4, 2) * size
                layers.append(draw_cover(draws, middle, size))
        covers.append(tuple(layers))
    return tuple(covers)


def build_scene(spec: VideoSpec) -> Scene:
    """Draw the scene of a video; the same spec gives the same scene."""
    layout, looks, faulty = (np.random.default_rng((spec.seed, part)) for part in range(3))
    unit = spec.height / 240
    ground = Ground(
        horizon=layout.uniform(0.16, 0.3) * spec.height,
        height=layout.uniform(7.0, 9.5),
        middle=(spec.width - 1) / 2,
    )
    camera = draw_camera(layout, spec.height, spec.width, spec.frames)
    roles = _labeled_roles(layout, spec, ground)
    labeled = len(roles)
    roles += _far_roles(layout, spec, ground)
    people = tuple(draw_person(looks, role) for role in roles)
    sizes = layout.uniform(11, 20, int(layout.choice(4, p=(0.2, 0.3, 0.3, 0.2)))) * unit
    props = tuple(draw_prop(looks, ground, spec.width, size) for size in sizes.tolist())
    times = np.arange(spec.frames, dtype=np.float64)
    view = View(ground, camera.matrices(times))
    stances = [stance(person, times, view) for person in people]
    faults = draw_faults(faulty, spec.frames, spec.faults)
    grain = looks.normal(0, looks.uniform(0.5, 2.5), (spec.height + 64, spec.width + 64, 1))
    return Scene(
        spec=spec,
        ground=ground,
        camera=camera,
        background=draw_background(looks, spec.height, spec.width, ground),
        props=props,
        people=people,
        labeled=labeled,
        faults=faults,
        stances=tuple(stances),
        covers=_draw_covers(faulty, spec.seed, faults, stances[:labeled]),
        grain=grain.astype(np.float32),
    )
