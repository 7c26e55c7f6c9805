"""Boxes of people: conversion, clipping, crop regions and intersection over union.

Boxes are in image pixels with pixel centers at integer coordinates, like keypoints. ``xywh`` is
(left, top, width, height), ``xyxy`` is (left, top, right, bottom).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """Axis-aligned rectangle of the image that is cropped."""

    center: tuple[float, float]
    """Center (x, y), image pixels."""
    height: float
    """Image pixels."""
    width: float
    """Image pixels."""


def xywh_to_xyxy(boxes_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert boxes ``(..., 4)`` from xywh to xyxy."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert boxes ``(..., 4)`` from xyxy to xywh."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def clip_boxes(boxes_xywh: NDArray[np.float64], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Clip boxes to the outermost pixel centers of an image.

    Args:
        boxes_xywh: Boxes, ``(N, 4)``, image pixels.
        image_size: Height and width of the image.

    Returns:
        Boxes ``(N, 4)``. Width or height is 0 if the box is outside the image. The public code of
        the papers also subtracts 1 from width and height (DCPose, PoseTrack.py,
        ``_load_coco_keypoints_annotations``), a convention of integer boxes that is not used here.
    """
    height, width = image_size
    corners = xywh_to_xyxy(boxes_xywh)
    corners[..., 0::2] = corners[..., 0::2].clip(0, width - 1)
    corners[..., 1::2] = corners[..., 1::2].clip(0, height - 1)
    return xyxy_to_xywh(corners)


def crop_region(
    box_xywh: NDArray[np.float64], crop_size: tuple[int, int], enlarge: float
) -> Region:
    """Return the image region that is cropped around a box.

    The box is first extended to the aspect ratio of the crop, then both sides are enlarged (DCPose,
    utils_bbox.py). The opposite order gives a different region if the aspect ratios differ. The
    papers enlarge by 25 % (JM-Pose and VREMD, Preliminaries).

    Args:
        box_xywh: Box, ``(4,)``, image pixels, with positive sides.
        crop_size: Height and width of the crop; only the ratio matters.
        enlarge: Factor on both sides; 1.25 for 25 %.

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
        IoU within [0, 1], ``(N, M)``; 0 if both boxes are empty.
    """
    first, second = xywh_to_xyxy(first_xywh)[:, None], xywh_to_xyxy(second_xywh)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    intersection = (high - low).clip(min=0).prod(axis=-1)
    areas = [
        (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1) for boxes in (first, second)
    ]
    union = areas[0] + areas[1] - intersection
    overlap: NDArray[np.float64] = np.divide(
        intersection, union, out=np.zeros_like(intersection), where=union > 0
    )
    return overlap
