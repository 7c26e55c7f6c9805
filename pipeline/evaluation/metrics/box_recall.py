"""Recall of the detected boxes, the upper limit for the share of people with a pose."""

import numpy as np
import pandas as pd

from pipeline.core.geometry.boxes import iou

LEAST_IOU = 0.5


def box_recall(people: pd.DataFrame, boxes: pd.DataFrame) -> float | None:
    """Return the share of annotated people that a box overlaps.

    Args:
        people: Annotated people, columns of ``pipeline.core.tables.schemas.PEOPLE``. People without
            a box are not counted.
        boxes: Boxes, columns of ``pipeline.core.tables.schemas.BOXES``.

    Returns:
        Share within [0, 1] of people with a box of IoU >= 0.5 in their frame; None if there are no
        people. One box may count for several people.
    """
    annotated = people[people["box_w"].notna()]
    if annotated.empty:
        return None
    places = dict(iter(boxes.groupby(["video", "frame"])))
    found = 0
    for key, rows in annotated.groupby(["video", "frame"]):
        if key in places:
            first = rows[["box_x", "box_y", "box_w", "box_h"]].to_numpy(np.float64)
            second = places[key][["x", "y", "w", "h"]].to_numpy(np.float64)
            found += int((iou(first, second).max(axis=1) >= LEAST_IOU).sum())
    return found / len(annotated)
