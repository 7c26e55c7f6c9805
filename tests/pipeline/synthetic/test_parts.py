"""Outlines and turns of body parts."""

import numpy as np
import pytest

from pipeline.synthetic.painting import PARTS_PER_PERSON
from pipeline.synthetic.parts import PART, PARTS, Part, Sprite, part_grid, part_outline, roundness


def wrapped_sprite() -> Sprite:
    """A wrap that is red in front, green at the person's left, blue behind and at the right."""
    grid = part_grid(PARTS[PART["head"]], 1.3, 20)
    wrap = np.zeros((len(grid.v), 80, 3), np.float32)
    wrap[:, 30:50, 0] = 1  # -pi/4 .. pi/4
    wrap[:, 50:70, 1] = 1  # pi/4 .. 3 pi/4
    wrap[:, :30, 2] = wrap[:, 70:, 2] = 1
    shade = np.ones(len(grid.s), np.float32)
    return Sprite(grid.to_part, None, wrap, np.ones((len(grid.v), len(grid.s)), np.float32), shade)


@pytest.mark.parametrize(
    ("degrees", "color"), [(0, [1, 0, 0]), (90, [0, 1, 0]), (180, [0, 0, 1]), (-90, [0, 0, 1])]
)
def test_a_turn_shows_the_side_that_then_faces_the_camera(
    degrees: float, color: list[float]
) -> None:
    picture = wrapped_sprite().turned(np.radians(degrees))
    middle = picture[len(picture) // 2, picture.shape[1] // 2]
    assert middle.tolist() == pytest.approx([*color, 1])


def test_facing_the_camera_the_persons_left_is_at_the_right_of_the_sprite() -> None:
    picture = wrapped_sprite().turned(0.0)
    middle = len(picture) // 2
    assert picture[middle, int(picture.shape[1] * 0.85), 1] == pytest.approx(1)
    assert picture[middle, int(picture.shape[1] * 0.15), 2] == pytest.approx(1)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_outline_is_closed_and_covers_the_bone(part: Part) -> None:
    grid = part_grid(part, 2.0, 16)
    outline = part_outline(part, grid)
    assert outline.shape == (len(grid.v), len(grid.s))
    assert outline[0].max() == outline[-1].max() == 0
    assert outline[:, 0].max() == outline[:, -1].max() == 0
    middle = outline[:, np.abs(grid.s).argmin()]
    start, end = max(part.reach[0], 0), min(part.reach[1], 1)
    assert middle[(grid.v > start + 0.1) & (grid.v < end - 0.1)].min() == 1


def test_the_grid_maps_pixels_to_part_coordinates() -> None:
    part = PARTS[PART["left_thigh"]]
    grid = part_grid(part, 2.0, 16)
    for row, column in ((0, 0), (5, 3), (len(grid.v) - 1, len(grid.s) - 1)):
        s, v, one = grid.to_part @ [column, row, 1]
        assert (s, v, one) == pytest.approx((grid.s[column], grid.v[row], 1))


def test_light_comes_from_the_upper_left() -> None:
    light = roundness(np.array([-0.7, 0.0, 0.7]))
    assert light[0] > light[1] > light[2] > 0


def test_a_part_map_has_room_for_every_part() -> None:
    assert len(PARTS) <= PARTS_PER_PERSON
    assert len(PART) == len(PARTS)


def test_a_sprite_without_colors_is_refused() -> None:
    empty = Sprite(np.eye(3), None, None, np.ones((2, 2), np.float32), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="got neither"):
        empty.turned(0.0)
