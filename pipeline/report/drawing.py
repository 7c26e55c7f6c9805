"""Draw poses, boxes and captions on images, and arrange images in a grid.

All images are RGB uint8 ``(H, W, 3)``; every public function returns a new image.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.core.limbs import LIMBS
from pipeline.core.skeleton import JOINTS, SLOTS

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

SIDE_COLORS: dict[str, Color] = {
    "left": (255, 140, 0),
    "right": (0, 160, 255),
    "middle": (90, 220, 90),
}
"""Orange for the person's left side, blue for the right side: safe for color-blind readers."""

_SHIFT = 4
"""OpenCV takes coordinates in units of 2 ** -4 pixels."""


def side_of(name: str) -> str:
    """Return the side of a joint by its name: left, right or middle."""
    side = name.partition("_")[0]
    return side if side in ("left", "right") else "middle"


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.round(point * 2**_SHIFT).astype(int).tolist()
    return int(x), int(y)


def enlarge(image: Picture, factor: int) -> Picture:
    """Return the image enlarged by ``factor`` with cubic interpolation."""
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def draw_pose(
    image: Picture,
    keypoints: ArrayLike,
    visible: ArrayLike,
    colors: dict[str, Color] | None = None,
    thickness: int = 2,
) -> Picture:
    """Draw the limbs and joints of a person: occluded joints as rings with thin limbs.

    Args:
        image: The image.
        keypoints: xy in pixels, pixel centers at integers, ``(15, 2)`` in the order of ``JOINTS``
            or ``(17, 2)`` in the order of ``SLOTS``.
        visible: 0 for joints that are not drawn, 1 for occluded and 2 for visible joints, ``(15,)``
            or ``(17,)``.
        colors: Color by side, with the keys of ``SIDE_COLORS``, which is the default.
        thickness: Thickness of a limb in pixels.

    Raises:
        ValueError: If there are neither 15 nor 17 joints, or if the number of flags differs.
    """
    points, flags = np.asarray(keypoints, np.float64), np.asarray(visible)
    names = {len(JOINTS): JOINTS, len(SLOTS): SLOTS}.get(len(points))
    if names is None or points.shape[1:] != (2,) or flags.shape != (len(points),):
        raise ValueError(
            f"draw_pose: expected keypoints (15, 2) or (17, 2) and as many flags, got "
            f"{points.shape} and {flags.shape}"
        )
    colors = SIDE_COLORS if colors is None else colors
    drawn = image.copy()
    for start, end in LIMBS:
        first, last = names.index(start), names.index(end)
        if flags[first] == 0 or flags[last] == 0:
            continue
        width = thickness if min(flags[first], flags[last]) == 2 else max(thickness // 2, 1)
        color = colors[side_of(end)]
        ends = _fixed(points[first]), _fixed(points[last])
        cv2.line(drawn, *ends, color, width, cv2.LINE_AA, _SHIFT)
    for name, point, flag in zip(names, points, flags.tolist(), strict=True):
        if flag and not name.endswith("_ear"):
            _draw_joint(drawn, point, colors[side_of(name)], flag == 2, thickness)
    return drawn


def _draw_joint(
    image: Picture, point: NDArray[np.float64], color: Color, seen: bool, thickness: int
) -> None:
    """Draw a dot with a dark outline, or a ring, in place."""
    radius = (thickness + 1) << _SHIFT
    where = _fixed(point)
    if seen:
        cv2.circle(image, where, radius, (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, where, radius - (1 << _SHIFT), color, -1, cv2.LINE_AA, _SHIFT)
    else:
        cv2.circle(image, where, radius, (255, 255, 255), 2, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, where, radius, color, 1, cv2.LINE_AA, _SHIFT)


def draw_box(image: Picture, box_xywh: ArrayLike, color: Color, thickness: int = 1) -> Picture:
    """Draw a box, xywh in pixels."""
    drawn = image.copy()
    x, y, width, height = np.asarray(box_xywh, np.float64).tolist()
    corners = _fixed(np.array([x, y])), _fixed(np.array([x + width, y + height]))
    cv2.rectangle(drawn, *corners, color, thickness, cv2.LINE_AA, _SHIFT)
    return drawn


def draw_caption(image: Picture, caption: str) -> Picture:
    """Write a line of text in the upper left corner, on a dark background."""
    drawn = image.copy()
    scale = max(image.shape[0] / 600, 0.35)
    (width, height), base = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    strip = drawn[: height + 2 * base, : width + 2 * base]
    strip //= 4
    place = (base, height + base)
    cv2.putText(
        drawn, caption, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
    return drawn


def contact_sheet(
    tiles: Sequence[Picture], columns: int, captions: Sequence[str] | None = None, gap: int = 4
) -> Picture:
    """Arrange images of equal size in a grid on white.

    Args:
        tiles: The images, at least one, row by row.
        columns: Number of images per row.
        captions: One line of text per image, or None.
        gap: Width of the white space between and around the images, in pixels.

    Raises:
        ValueError: If there is no image, or if sizes or the number of captions differ.
    """
    shapes = {tile.shape for tile in tiles}
    if len(shapes) != 1 or columns < 1:
        raise ValueError(
            f"contact_sheet: expected pictures of one size and at least 1 column, got sizes "
            f"{sorted(shapes)} and {columns} columns"
        )
    if captions is not None and len(captions) != len(tiles):
        raise ValueError(
            f"contact_sheet: expected {len(tiles)} captions, one per picture, got {len(captions)}"
        )
    height, width, _ = tiles[0].shape
    rows = -(-len(tiles) // columns)
    columns = min(columns, len(tiles))
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        shown = tile if captions is None else draw_caption(tile, captions[index])
        sheet[top : top + height, left : left + width] = shown
    return sheet
