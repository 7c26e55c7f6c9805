"""Boxes of people: two written forms, clipping, the region that is cropped, overlap.

A box has no unit of its own: it lies in the plane of the keypoints, image pixels with pixel
centers at integers. ``xywh`` is (left, top, width, height), ``xyxy`` (left, top, right, bottom).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """Upright rectangle of the image that becomes the crop."""

    center: tuple[float, float]
    """Its center (x, y), image pixels."""
    height: float
    """Image pixels."""
    width: float
    """Image pixels."""


def xywh_to_xyxy(boxes_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes ``(..., 4)`` given by their size as boxes given by two corners."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes ``(..., 4)`` given by two corners as boxes given by their size."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def clip_boxes(boxes_xywh: NDArray[np.float64], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the part of every box that lies between the outermost pixel centers.

    Args:
        boxes_xywh: Boxes, ``(N, 4)``, image pixels.
        image_size: Height and width of the image.

    Returns:
        Boxes ``(N, 4)``; width or height is 0 where nothing is left. The public code of this
        line of papers also takes one pixel off each side's length (DCPose, PoseTrack.py,
        ``_load_coco_keypoints_annotations``), a habit of integer boxes that is not kept here.
    """
    height, width = image_size
    corners = xywh_to_xyxy(boxes_xywh)
    corners[..., 0::2] = corners[..., 0::2].clip(0, width - 1)
    corners[..., 1::2] = corners[..., 1::2].clip(0, height - 1)
    return xyxy_to_xywh(corners)


def crop_region(
    box_xywh: NDArray[np.float64], crop_size: tuple[int, int], enlarge: float
) -> Region:
    """Return the region of the image that is cropped around a box.

    The shorter side grows to the crop's aspect first and both sides are enlarged after it
    (DCPose, utils_bbox.py): the other order would give other regions for boxes whose aspect
    differs from the crop's. The papers enlarge by 25 % (JM-Pose and VREMD, Preliminaries).

    Args:
        box_xywh: One box, ``(4,)``, image pixels, with positive sides.
        crop_size: Height and width of the crop; only their ratio counts.
        enlarge: Factor on both sides, 1.25 for 25 %.

    Raises:
        ValueError: If the box is not finite or has no area.
    """
    left, top, width, height = (float(value) for value in box_xywh)
    if not np.isfinite(box_xywh).all() or width <= 0 or height <= 0:
        raise ValueError(
            f"expected a finite box (x, y, w, h) with positive sides, got "
            f"({left}, {top}, {width}, {height}); correct it or remove the person"
        )
    aspect = crop_size[1] / crop_size[0]
    region_width, region_height = max(width, height * aspect), max(height, width / aspect)
    return Region(
        center=(left + width / 2, top + height / 2),
        height=region_height * enlarge,
        width=region_width * enlarge,
    )


def iou(first_xywh: NDArray[np.float64], second_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of every pair of two sets of boxes.

    Args:
        first_xywh: Boxes, ``(N, 4)``.
        second_xywh: Boxes, ``(M, 4)``.

    Returns:
        Overlap within [0, 1], ``(N, M)``; 0 where both boxes are empty.
    """
    first, second = xywh_to_xyxy(first_xywh)[:, None], xywh_to_xyxy(second_xywh)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    areas = [
        (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1) for boxes in (first, second)
    ]
    union = areas[0] + areas[1] - shared
    overlap: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return overlap
