"""Affine transforms between image and crop coordinates.

A matrix ``(2, 3)`` maps a column vector (x, y, 1) to (x, y). Pixel centers are at integer
coordinates in both images, as in cv2.warpAffine: the center of a crop of W pixels is (W - 1) / 2,
and a horizontal flip maps x to W - 1 - x. The same matrix warps every frame of a clip and its
joints.

The public code of the papers maps the center of the box to W / 2 (HRNet, transforms.py,
``get_affine_transform``), half a pixel from the center of the crop. A crop and its flipped copy
then differ by one pixel.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.core.geometry.boxes import Region


def crop_matrix(region: Region, crop_size: tuple[int, int], rotation: float) -> NDArray[np.float64]:
    """Return the matrix that maps image pixels to crop pixels.

    Args:
        region: Rectangle of the image that fills the crop; its aspect ratio is that of the crop.
        crop_size: Height and width of the crop.
        rotation: Rotation of the image about the center of the region, degrees, clockwise on the
            screen (from +x to +y).

    Returns:
        Matrix ``(2, 3)`` that maps the center of the region to the center of the crop and the
        width of the region to the width of the crop. Both axes have the same scale.
    """
    height, width = crop_size
    scale = width / region.width
    angle = math.radians(rotation)
    linear = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([linear, center - linear @ np.array(region.center)])


def mirror(to_crop: NDArray[np.float64], crop_width: int) -> NDArray[np.float64]:
    """Return the matrix ``(2, 3)`` to the horizontally flipped crop, where x becomes W - 1 - x."""
    mirrored = to_crop.copy()
    mirrored[0] *= -1
    mirrored[0, 2] += crop_width - 1
    return mirrored


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine matrix ``(2, 3)``.

    Raises:
        ValueError: If the matrix is singular.
    """
    linear = matrix[:, :2]
    if abs(np.linalg.det(linear)) < 1e-12:
        raise ValueError(f"expected an invertible matrix (2, 3), got {matrix.tolist()}")
    inverted = np.linalg.inv(linear)
    return np.column_stack([inverted, -inverted @ matrix[:, 2]])


def transform(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a matrix ``(2, 3)`` to points ``(..., 2)``, xy in pixels."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
