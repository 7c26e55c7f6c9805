"""Laying sprites over a picture, single pixels first."""

import numpy as np
import pytest

from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.painting import COVERED, PARTS_PER_PERSON, _paint, part_map, photograph
from pipeline.synthetic.parts import PARTS
from pipeline.synthetic.scene import build_scene

SCENE = build_scene(VideoSpec(910_003, frames=10, height=120, width=160))


def test_an_opaque_pixel_lands_where_its_map_says() -> None:
    canvas = np.full((20, 30, 3), 0.5, np.float32)
    parts = np.full((20, 30), -1, np.int16)
    picture = np.zeros((3, 3, 4), np.float32)
    picture[1, 1] = (1, 0, 0, 1)
    _paint(canvas, parts, picture, np.array([[1.0, 0, 6], [0, 1.0, 11]]), 35)
    assert np.argwhere(parts == 35).tolist() == [[12, 7]]
    assert canvas[12, 7] == pytest.approx([1, 0, 0])
    canvas[12, 7] = 0.5
    assert (canvas == 0.5).all()


def test_half_a_cover_lets_half_the_light_through() -> None:
    canvas = np.full((9, 9, 3), 0.8, np.float32)
    picture = np.zeros((3, 3, 4), np.float32)
    picture[1, 1] = (0.1, 0.1, 0.1, 0.5)
    _paint(canvas, None, picture, np.array([[1.0, 0, 3], [0, 1.0, 3]]), 0)
    assert canvas[4, 4] == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize("place", [(-50.0, 5.0), (5.0, -50.0), (500.0, 5.0), (5.0, 500.0)])
def test_what_lies_outside_the_picture_changes_nothing(place: tuple[float, float]) -> None:
    canvas = np.zeros((20, 30, 3), np.float32)
    picture = np.ones((4, 4, 4), np.float32)
    _paint(canvas, None, picture, np.array([[1.0, 0, place[0]], [0, 1.0, place[1]]]), 0)
    assert not canvas.any()


def test_a_part_map_names_people_and_parts_of_the_scene() -> None:
    labels = np.unique(part_map(SCENE, 2)[1])
    known = {person * PARTS_PER_PERSON + part
             for person in range(len(SCENE.people)) for part in range(len(PARTS))}  # fmt: skip
    assert set(labels.tolist()) <= known | {-1, COVERED}
    assert (labels >= 0).sum() > 10


def test_a_photograph_of_a_still_frame_is_its_light_with_gamma_and_grain() -> None:
    frame = next(i for i, fault in enumerate(SCENE.faults) if fault.tag != "blurred")
    light, parts = part_map(SCENE, frame)
    image, same_parts = photograph(SCENE, frame)
    expected = 255 * np.clip(light, 0, 1) ** (1 / 2.2)
    difference = image - expected
    assert np.abs(difference.mean()) < 1
    assert difference.std() < 4
    assert (parts == same_parts).all()
