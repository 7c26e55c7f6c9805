"""Boxes compared with values computed by hand, and their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.geometry.boxes import clip_boxes, crop_region, iou, xywh_to_xyxy, xyxy_to_xywh

SIDE = st.floats(0.5, 500)
POSITION = st.floats(-300, 800)
INTEGER_BOX = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2)
BOX = st.tuples(POSITION, POSITION, SIDE, SIDE).map(np.array)


@given(BOX)
def test_the_conversion_to_xyxy_and_back_is_the_identity(box: np.ndarray) -> None:
    np.testing.assert_allclose(xyxy_to_xywh(xywh_to_xyxy(box)), box, atol=1e-9)


def test_xywh_is_converted_to_two_corners() -> None:
    np.testing.assert_array_equal(xywh_to_xyxy(np.array([[10, 20, 30, 40.0]])), [[10, 20, 40, 60]])


def test_the_aspect_ratio_is_set_before_the_box_is_enlarged() -> None:
    # 200 x 100 (width x height) for a 3:4 crop: the height becomes 200 / 0.75, times 1.25.
    region = crop_region(np.array([10, 20, 200, 100.0]), (384, 288), 1.25)
    assert region.center == (110, 70)
    assert region.width == pytest.approx(250)
    assert region.height == pytest.approx(200 / 0.75 * 1.25)


@given(BOX, st.sampled_from([(384, 288), (256, 192), (128, 96), (100, 100), (96, 128)]))
def test_a_region_has_the_aspect_ratio_of_the_crop_and_contains_the_enlarged_box(
    box: np.ndarray, crop_size: tuple[int, int]
) -> None:
    region = crop_region(box, crop_size, 1.25)
    assert region.width / region.height == pytest.approx(crop_size[1] / crop_size[0])
    assert region.width >= box[2] * 1.25 - 1e-9
    assert region.height >= box[3] * 1.25 - 1e-9
    touching = [np.isclose(region.width, box[2] * 1.25), np.isclose(region.height, box[3] * 1.25)]
    assert any(touching)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1), (0, 0, np.nan, 5), (np.inf, 0, 5, 5)])
def test_a_box_without_area_raises_an_error(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive sides, got"):
        crop_region(np.array(box, dtype=float), (4, 3), 1.25)


def test_boxes_are_clipped_to_the_outermost_pixel_centers() -> None:
    boxes = np.array([[-10, -20, 50, 60], [90, 40, 99, 99], [200, 0, 10, 10], [-9, -9, 999, 999.0]])
    clipped = clip_boxes(boxes, (60, 100))
    np.testing.assert_array_equal(
        clipped, [[0, 0, 40, 40], [90, 40, 9, 19], [99, 0, 0, 10], [0, 0, 99, 59]]
    )


def _iou_by_counting(first: np.ndarray, second: np.ndarray) -> float:
    """Return the IoU of integer boxes by counting unit squares."""
    squares = [
        {
            (x, y)
            for x in range(int(b[0]), int(b[0] + b[2]))
            for y in range(int(b[1]), int(b[1] + b[3]))
        }
        for b in (first, second)
    ]
    return len(squares[0] & squares[1]) / len(squares[0] | squares[1])


@given(st.lists(INTEGER_BOX, min_size=2, max_size=4))
def test_iou_equals_a_count_of_unit_squares(boxes: list[tuple[int, ...]]) -> None:
    table = np.array(boxes, dtype=float)
    expected = [[_iou_by_counting(a, b) for b in table] for a in table]
    np.testing.assert_allclose(iou(table, table), expected, atol=1e-12)


def test_the_iou_of_empty_boxes_is_0_and_empty_sets_are_accepted() -> None:
    flat = np.array([[5, 5, 0, 0.0]])
    assert iou(flat, flat).item() == 0
    assert iou(np.zeros((0, 4)), flat).shape == (0, 1)
