"""Pictures of attention: large values are bright, at the correct position."""

import numpy as np

from pipeline.pictures.attention import (
    HEATMAP_GRID,
    SCALE,
    TOKEN_GRID,
    MapGrid,
    draw_map,
    draw_matrices,
    draw_points,
)

GRAY = np.full((64, 48, 3), 100, np.uint8)


def test_cells_and_tokens_are_at_their_crop_pixels() -> None:
    # Pixel p of the crop covers pixels 2p and 2p + 1 of the picture: its center is 2p + 0.5.
    assert HEATMAP_GRID.on_picture(np.array([3.0, 0.0], np.float32)).tolist() == [24.5, 0.5]
    assert TOKEN_GRID.on_picture(np.array([1.0], np.float32)).tolist() == [2 * 23.5 + 0.5]


def test_the_largest_value_of_a_map_is_brightest() -> None:
    for grid, cell in ((HEATMAP_GRID, (9, 5)), (TOKEN_GRID, (2, 1))):
        size = (64 // int(grid.step), 48 // int(grid.step))
        values = np.zeros(size, np.float32)
        values[cell] = 2
        picture = draw_map(GRAY, values, grid, "")
        assert picture.shape == (128, 96, 3)
        bright = picture[20:].astype(int).sum(axis=2)  # below the caption
        row, column = np.unravel_index(bright.argmax(), bright.shape)
        expected = grid.on_picture(np.array([cell[1], cell[0]], np.float32))
        assert abs(column - expected[0]) <= 1
        assert abs(row + 20 - expected[1]) <= 1


def test_a_constant_map_is_drawn() -> None:
    assert len(np.unique(draw_map(GRAY, np.ones((16, 12), np.float32), HEATMAP_GRID, "")[30:])) <= 3


def test_every_point_is_drawn_and_larger_for_larger_weights() -> None:
    points = np.array([[[2, 8], [9, 8]]], np.float32)
    weights = np.array([[0.2, 1.0]], np.float32)
    center = np.array([5, 13], np.float32)
    picture = draw_points(GRAY, points, weights, center, HEATMAP_GRID, "")
    changed = (picture != np.full((64 * SCALE, 48 * SCALE, 3), 100)).any(axis=2)
    light, heavy = changed[55:75, 8:26].sum(), changed[55:75, 62:84].sum()
    assert 0 < light < heavy
    assert picture[104, 40].tolist() == [255, 255, 255]  # the cross


def test_a_point_outside_the_crop_is_not_drawn() -> None:
    outside = np.full((1, 1, 2), 50, np.float32)
    center = np.array([5, 13], np.float32)
    picture = draw_points(GRAY, outside, np.ones((1, 1), np.float32), center, MapGrid(4.0), "")
    assert picture.shape == (128, 96, 3)


def test_the_matrices_of_all_heads_are_side_by_side() -> None:
    values = np.stack([np.eye(4), np.eye(4)[::-1]]).astype(np.float32)
    picture = draw_matrices(values, GRAY.shape[:2], "").astype(int).sum(axis=2)
    tall = 96 // 2  # two squares across 96 pixels
    drawn = picture[-tall:]
    assert drawn[2, 2] == drawn[-3, 45] > drawn[2, 45]
    assert drawn[2, 93] == drawn[-3, 50] == drawn[2, 2]
    assert not picture[30 : 128 - tall].any()
