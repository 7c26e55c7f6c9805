"""The one transform between image and crop: matrices, points through them, mirror images.

A matrix ``(2, 3)`` maps a column (x, y, 1) to (x, y). Pixel centers lie at integers on both sides,
as cv2.warpAffine has it: the middle of a crop of W pixels is (W - 1) / 2, and mirroring it sends x
to W - 1 - x. The same matrix warps every frame of a clip and moves its joints.

The public code of this line of papers puts the box's center on W / 2 instead (HRNet,
transforms.py, ``get_affine_transform``), half a pixel away from the crop's middle, so that a crop
and its mirror image disagree by a pixel.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.boxes import Region


def crop_matrix(region: Region, crop_size: tuple[int, int], rotation: float) -> NDArray[np.float64]:
    """Return the matrix that maps image pixels to crop pixels.

    Args:
        region: Rectangle of the image that fills the crop.
        crop_size: Height and width of the crop.
        rotation: Degrees by which the picture turns about the region's center, clockwise as seen
            on the screen (from +x to +y).

    Returns:
        Matrix ``(2, 3)``: the region's center lands on the crop's middle, the region's width on
        the crop's width. One scale serves both axes, that of the width: regions have the crop's
        aspect.
    """
    height, width = crop_size
    scale = width / region.width
    angle = math.radians(rotation)
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([turn, middle - turn @ np.array(region.center)])


def mirror(to_crop: NDArray[np.float64], crop_width: int) -> NDArray[np.float64]:
    """Return the matrix ``(2, 3)`` to the mirror image of the crop, x becoming W - 1 - x."""
    mirrored = to_crop.copy()
    mirrored[0] *= -1
    mirrored[0, 2] += crop_width - 1
    return mirrored


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix ``(2, 3)`` of the opposite direction.

    Raises:
        ValueError: If the matrix flattens the plane.
    """
    linear = matrix[:, :2]
    if abs(np.linalg.det(linear)) < 1e-12:
        raise ValueError(f"expected an invertible matrix (2, 3), got {matrix.tolist()}")
    back = np.linalg.inv(linear)
    return np.column_stack([back, -back @ matrix[:, 2]])


def transform(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points ``(..., 2)``, xy in pixels, moved by a matrix ``(2, 3)``."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
