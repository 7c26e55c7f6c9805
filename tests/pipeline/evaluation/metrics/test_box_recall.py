"""The share of people with a detected box agrees with a count by hand."""

import numpy as np
import pandas as pd

from pipeline.evaluation.metrics.box_recall import box_recall


def people(rows: list[tuple[str, int, float, float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["video", "frame", "box_x", "box_y", "box_w", "box_h"])


def boxes(rows: list[tuple[str, int, float, float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["video", "frame", "x", "y", "w", "h"])


def test_people_with_a_box_of_half_their_area_are_found() -> None:
    annotated = people(
        [
            ("a", 0, 0, 0, 10, 10),  # IoU exactly 1/2
            ("a", 0, 100, 0, 10, 10),  # IoU just below
            ("a", 1, 0, 0, 10, 10),  # the box is in another frame
            ("b", 0, 0, 0, 10, 10),  # the box is in another video
            ("b", 3, 5, 5, 2, 2),  # found
            ("b", 3, np.nan, np.nan, np.nan, np.nan),  # no box of their own
        ]
    )
    found = boxes([("a", 0, 0, 0, 10, 5), ("a", 0, 100, 0, 10, 4.99), ("b", 3, 5, 5, 2, 2)])
    assert box_recall(annotated, found) == 2 / 5


def test_the_recall_is_zero_without_boxes_and_none_without_people() -> None:
    annotated = people([("a", 0, 0, 0, 10, 10)])
    assert box_recall(annotated, boxes([])) == 0.0
    assert box_recall(annotated.iloc[:0], boxes([("a", 0, 0, 0, 1, 1)])) is None
    nowhere = people([("a", 0, np.nan, np.nan, np.nan, np.nan)])
    assert box_recall(nowhere, boxes([])) is None
