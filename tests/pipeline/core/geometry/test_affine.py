"""Affine transforms: exactness of crop, flip, rotation and scale."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.core.geometry.affine import crop_matrix, inverse, mirror, transform
from pipeline.core.geometry.boxes import Region

SIZES = st.sampled_from([(128, 96), (64, 48), (96, 128), (51, 33)])


@st.composite
def regions(draw: st.DrawFn, crop_size: tuple[int, int]) -> Region:
    width = draw(st.floats(5, 900))
    center = (draw(st.floats(-50, 700)), draw(st.floats(-50, 700)))
    return Region(center, width * crop_size[0] / crop_size[1], width)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    crop_size = draw(SIZES)
    matrix = crop_matrix(draw(regions(crop_size)), crop_size, draw(st.floats(-180, 180)))
    return (mirror(matrix, crop_size[1]) if draw(st.booleans()) else matrix), crop_size


def test_a_region_of_the_crop_size_is_copied_unchanged() -> None:
    # Columns 40..43 and rows 20..24 of the image; the center is (41.5, 22).
    matrix = crop_matrix(Region((41.5, 22.0), 5, 4), (5, 4), 0)
    np.testing.assert_allclose(matrix, [[1, 0, -40], [0, 1, -20]], atol=1e-12)


def test_the_edges_of_the_region_map_to_the_edges_of_the_crop() -> None:
    # Pixel centers are at integer coordinates: a crop of 40 columns covers -0.5 to 39.5.
    matrix = crop_matrix(Region((100.0, 50.0), 200, 120), (200, 120), 0)
    edges = transform(np.array([[40.0, -50.0], [160.0, 150.0]]), matrix)
    np.testing.assert_allclose(edges, [[-0.5, -0.5], [119.5, 199.5]])


def test_a_rotation_by_90_degrees_is_clockwise_on_the_screen() -> None:
    matrix = crop_matrix(Region((10.0, 10.0), 21, 21), (21, 21), 90)
    right_of_center, below_center = np.array([13.0, 10.0]), np.array([10.0, 13.0])
    np.testing.assert_allclose(transform(right_of_center, matrix), below_center, atol=1e-12)


@given(matrices(), st.floats(-500, 900), st.floats(-500, 900))
def test_a_transform_followed_by_its_inverse_is_the_identity(
    made: tuple[np.ndarray, tuple[int, int]], x: float, y: float
) -> None:
    matrix, _ = made
    back = transform(transform(np.array([x, y]), matrix), inverse(matrix))
    np.testing.assert_allclose(back, [x, y], atol=1e-6)


@given(matrices(), st.floats(-500, 900), st.floats(-500, 900))
def test_a_flip_maps_x_to_width_minus_1_minus_x(
    made: tuple[np.ndarray, tuple[int, int]], x: float, y: float
) -> None:
    matrix, (_, width) = made
    moved = transform(np.array([x, y]), matrix)
    mirrored = transform(np.array([x, y]), mirror(matrix, width))
    np.testing.assert_allclose(mirrored, [width - 1 - moved[0], moved[1]], atol=1e-9)
    np.testing.assert_allclose(mirror(mirror(matrix, width), width), matrix, atol=1e-9)


def test_a_singular_matrix_raises_an_error() -> None:
    with pytest.raises(ValueError, match="invertible"):
        inverse(np.zeros((2, 3)))


@settings(max_examples=40, deadline=None)
@given(matrices())
def test_every_pixel_of_a_warp_shows_the_source_coordinate_of_the_matrix(
    made: tuple[np.ndarray, tuple[int, int]],
) -> None:
    """Pixel values are their own coordinates, so linear sampling returns the source position."""
    matrix, (height, width) = made
    image = np.stack(np.meshgrid(np.arange(640.0), np.arange(700.0)), -1).astype(np.float32)
    warped = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    positions = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    source = transform(positions, inverse(matrix))
    inside = ((source > 1) & (source < [638, 698])).all(-1)
    # OpenCV 4 samples at 1/32 pixel; OpenCV 5 is finer.
    np.testing.assert_allclose(warped[inside], source[inside], atol=1 / 32 + 1e-3)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_white_pixel_moves_to_the_position_given_by_the_matrix(data: st.DataObject) -> None:
    crop_size = data.draw(SIZES)
    height, width = crop_size
    # The crop is magnified, so the pixel becomes a tent function with a measurable centroid.
    magnification = data.draw(st.floats(4, 8))
    region_width = width / magnification
    center = (data.draw(st.floats(60, 140)), data.draw(st.floats(60, 140)))
    region = Region(center, region_width * height / width, region_width)
    matrix = crop_matrix(region, crop_size, data.draw(st.floats(-90, 90)))
    if data.draw(st.booleans()):
        matrix = mirror(matrix, width)
    x, y = (round(value) + data.draw(st.integers(-1, 1)) for value in center)
    target = transform(np.array([x, y]), matrix)
    # The tent must be inside the crop; rotated, it extends further by a factor of sqrt(2).
    radius = 2**0.5 * magnification
    low, high = radius, np.array([width, height]) - 1 - radius
    assume(bool((target > low).all() and (target < high).all()))
    image = np.zeros((200, 200), np.float32)
    image[y, x] = 1
    warped = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    found = np.array([(warped * columns).sum(), (warped * rows).sum()]) / warped.sum()
    np.testing.assert_allclose(found, target, atol=0.15)
