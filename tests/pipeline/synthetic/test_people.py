"""People before the camera: size, place, direction, order of parts."""

import numpy as np
import pytest

from pipeline.synthetic.figures import POINT
from pipeline.synthetic.parts import PARTS
from pipeline.synthetic.people import FOCAL, Ground, Role, View, draw_person, stance

GROUND = Ground(horizon=50.0, height=8.0, middle=160.0)
TIMES = np.arange(6.0)
STILL = View(GROUND, np.broadcast_to(np.eye(3)[:2], (6, 2, 3)))


def role(action: str = "stand", yaw: float = 0.0, distance: float = 25.0) -> Role:
    return Role(action, 1.0, np.array([0.0, distance]), yaw, 0.0)


def test_a_nearer_person_is_larger_and_lower_in_the_picture() -> None:
    near, far = (
        stance(draw_person(np.random.default_rng(1), role(distance=distance)), TIMES, STILL)
        for distance in (20.0, 40.0)
    )
    assert near.scale[0] == pytest.approx(2 * far.scale[0], rel=0.01)
    assert near.foot[0, 1] == pytest.approx(GROUND.horizon + GROUND.height * FOCAL / 20)
    assert near.foot[0, 1] > far.foot[0, 1]


def test_parts_lie_on_their_bones() -> None:
    seen = stance(draw_person(np.random.default_rng(2), role("raise_arms")), TIMES, STILL)
    for index, part in enumerate(PARTS):
        start, end = seen.points[:, POINT[part.start]], seen.points[:, POINT[part.end]]
        middle = seen.parts[:, index] @ [0, 0.5, 1]
        assert middle == pytest.approx((start + end) / 2)
        long = np.linalg.norm(end - start, axis=1) > 0.5 * seen.scale
        assert (seen.parts[long, index] @ [0, 1, 1]) == pytest.approx(end[long])


def test_walkers_go_where_they_face() -> None:
    to_left = draw_person(np.random.default_rng(3), role("walk", np.pi / 2))
    to_right = draw_person(np.random.default_rng(3), role("walk", -np.pi / 2))
    nearer = draw_person(np.random.default_rng(3), role("walk"))
    assert stance(to_left, TIMES, STILL).foot[-1, 0] < 160 - 5
    assert stance(to_right, TIMES, STILL).foot[-1, 0] > 160 + 5
    assert np.diff(stance(nearer, TIMES, STILL).scale).min() > 0


def test_the_camera_moves_everything_alike() -> None:
    person = draw_person(np.random.default_rng(4), role("dance"))
    turned = np.array([[0.0, -2.0, 7.0], [2.0, 0.0, -3.0]])
    plain = stance(person, TIMES, STILL)
    moved = stance(person, TIMES, View(GROUND, np.broadcast_to(turned, (6, 2, 3))))
    expected = plain.points @ turned[:, :2].T + turned[:, 2]
    assert moved.points == pytest.approx(expected)
    assert moved.scale == pytest.approx(2 * plain.scale)


def test_what_is_nearer_is_painted_later() -> None:
    side = draw_person(np.random.default_rng(5), role("stand", np.pi / 2))
    order = [PARTS[part].name for part in stance(side, TIMES, STILL).order[0].tolist()]
    # Whoever faces the left edge has their left side near the camera.
    assert order.index("right_upper_arm") < order.index("torso") < order.index("left_upper_arm")
    back = draw_person(np.random.default_rng(5), role("stand", np.pi))
    order = [PARTS[part].name for part in stance(back, TIMES, STILL).order[0].tolist()]
    assert order.index("nose") < order.index("head")
