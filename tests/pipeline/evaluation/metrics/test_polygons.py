"""Ignore regions: the vectorized even-odd rule agrees with exact arithmetic."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.metrics.polygons import explode, strictly_inside
from tests.oracle_poseval import inside

CORNER = st.tuples(st.integers(0, 6), st.integers(0, 6))
POLYGONS = st.lists(st.lists(CORNER, min_size=3, max_size=8), min_size=0, max_size=4)


def flat(polygons: list[list[tuple[int, int]]]) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([corner for polygon in polygons for corner in polygon], dtype=float)
    start = np.cumsum([0, *(len(polygon) for polygon in polygons)])
    return corners.reshape(-1, 2), start


@settings(max_examples=40, deadline=None, derandomize=True)
@given(polygons=POLYGONS, frame_of=st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_every_point_agrees_with_exact_arithmetic(
    polygons: list[list[tuple[int, int]]], frame_of: list[int]
) -> None:
    # Half-integer points lie on edges, on corners, level with corners and strictly between.
    grid = np.stack(np.meshgrid(np.arange(-1, 14) / 2, np.arange(-1, 14) / 2), axis=-1)
    points = np.tile(grid.reshape(-1, 2), (3, 1))
    frames = np.repeat(np.arange(3), len(points) // 3)
    polygon_frames = np.array(sorted(frame_of[: len(polygons)]), dtype=np.int64)
    got = strictly_inside(points, frames, *flat(polygons), polygon_frames)
    for point, frame, value in zip(points.tolist(), frames, got, strict=True):
        own = [p for p, f in zip(polygons, polygon_frames, strict=True) if f == frame]
        assert value == any(inside(tuple(point), polygon) for polygon in own)


def test_the_edge_of_a_square_is_outside() -> None:
    square = np.array([[400.0, 300], [600, 300], [600, 500], [400, 500]])
    points = np.array(
        [[400.0, 400], [600, 400], [500, 300], [400, 300], [500, 499.999], [399, 400]]
    )
    got = strictly_inside(points, np.zeros(6, int), square, np.array([0, 4]), np.zeros(1, int))
    assert got.tolist() == [False, False, False, False, True, False]


def test_rows_are_paired_with_ranges_of_items() -> None:
    rows, items = explode(np.array([4, 0, 9]), np.array([2, 0, 3]))
    assert rows.tolist() == [0, 0, 2, 2, 2]
    assert items.tolist() == [4, 5, 9, 10, 11]
