"""Joint angles over time: limits, gait, pace."""

import numpy as np
import pytest

from pipeline.synthetic.actions import ACTIONS, ANGLE, ANGLES, draw_movement


@pytest.mark.parametrize("action", ACTIONS)
def test_knees_and_elbows_never_bend_the_wrong_way(action: str) -> None:
    movement = draw_movement(np.random.default_rng(1), action, 1.0)
    angles = movement.angles(np.arange(0, 60, 0.5))
    assert angles.shape == (120, len(ANGLES))
    for side in ("left", "right"):
        for joint in ("elbow", "knee"):
            bend = angles[:, ANGLE[f"{side}_{joint}"]]
            assert bend.min() >= 0
            assert bend.max() < np.pi


def test_legs_alternate_when_walking_and_keep_time_with_the_pace() -> None:
    movement = draw_movement(np.random.default_rng(3), "walk", 1.0)
    angles = movement.angles(np.arange(200.0))
    left, right = (angles[:, ANGLE[f"{side}_hip_flex"]] for side in ("left", "right"))
    assert np.corrcoef(left, right)[0, 1] < -0.7
    faster = draw_movement(np.random.default_rng(3), "walk", 2.0)
    assert faster.cycles == pytest.approx(2 * movement.cycles)


def test_every_swing_names_an_angle() -> None:
    names = {angle.removeprefix("left_").removeprefix("right_") for angle in ANGLES}
    for action in ACTIONS.values():
        assert set(action.swings) <= names


def test_an_unknown_action_is_named() -> None:
    with pytest.raises(KeyError, match="swim"):
        draw_movement(np.random.default_rng(0), "swim", 1.0)
