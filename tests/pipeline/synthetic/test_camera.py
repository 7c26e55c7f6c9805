"""Camera maps against similarities worked out by hand."""

import numpy as np
import pytest

from pipeline.synthetic.camera import Camera, draw_camera


def test_every_moment_is_a_similarity_near_the_resting_picture() -> None:
    camera = draw_camera(np.random.default_rng(4), 240, 320, 24)
    for matrix in camera.matrices(np.arange(24.0)):
        linear = matrix[:, :2]
        zoom = np.sqrt(np.linalg.det(linear))
        assert linear @ linear.T == pytest.approx(zoom**2 * np.eye(2), abs=1e-9)
        assert 0.6 < zoom < 1.6


def test_a_camera_at_rest_changes_nothing() -> None:
    still = Camera(240, 320, np.zeros((4, 3)), np.ones((4, 3)), np.zeros((4, 3)), np.zeros(4))
    assert still.matrices(np.array([3.0]))[0] == pytest.approx(np.eye(3)[:2])


def test_pan_zoom_and_rotation_act_about_the_middle_of_the_picture() -> None:
    drift = np.array([2.0, -1.0, np.log(1.1), np.pi / 2])
    camera = Camera(101, 201, np.zeros((4, 3)), np.ones((4, 3)), np.zeros((4, 3)), drift)
    matrix = camera.matrices(np.array([1.0]))[0]
    assert matrix @ [100, 50, 1] == pytest.approx([102, 49])
    # A quarter turn takes what is right of the middle below it (y points down), 1.1 times as far.
    assert matrix @ [110, 50, 1] == pytest.approx([102, 49 + 11])
