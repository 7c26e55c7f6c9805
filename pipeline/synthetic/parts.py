"""Body parts as sprites: where each lies on the skeleton, its outline, its light.

A sprite is a premultiplied RGBA picture in linear light, float32 ``(h, w, 4)``, over a part's own
coordinates: v runs along the bone from 0 to 1, s across it from -1 to 1. Limbs have one sprite;
head, torso and hips are wrapped with a texture that goes all the way round, of which a turn of
the body shows another half.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]


class Part(NamedTuple):
    """Geometry of a body part: the bone it lies on and its extent in the part's coordinates."""

    name: str
    start: str
    end: str
    width: float
    """Half-width in head sizes, seen from the front where the part is wrapped."""
    depth: float
    """Half-width seen from the side; equal to the width for limbs."""
    reach: tuple[float, float]
    """Extent along the bone, in bone lengths."""
    wrapped: bool
    bias: float
    """Head sizes by which the part is drawn nearer than its bone lies."""


PARTS = (
    Part("torso", "chest", "pelvis", 1.06, 0.62, (-0.1, 1.03), True, 0.0),
    Part("hips", "chest", "pelvis", 0.82, 0.6, (0.78, 1.26), True, -0.03),
    Part("neck", "head_bottom", "chest", 0.3, 0.3, (-0.6, 1.6), False, -0.25),
    Part("head", "head_top", "head_bottom", 0.53, 0.58, (-0.06, 1.04), True, 0.12),
    Part("nose", "brow", "nose", 0.1, 0.1, (-0.1, 1.4), False, 0.0),
    Part("left_upper_arm", "left_shoulder", "left_elbow", 0.29, 0.29, (-0.24, 1.18), False, 0.0),
    Part("right_upper_arm", "right_shoulder", "right_elbow", 0.29, 0.29, (-0.24, 1.18), False, 0.0),
    Part("left_lower_arm", "left_elbow", "left_wrist", 0.23, 0.23, (-0.18, 1.45), False, 0.1),
    Part("right_lower_arm", "right_elbow", "right_wrist", 0.23, 0.23, (-0.18, 1.45), False, 0.1),
    Part("left_thigh", "left_hip", "left_knee", 0.43, 0.43, (-0.16, 1.14), False, 0.0),
    Part("right_thigh", "right_hip", "right_knee", 0.43, 0.43, (-0.16, 1.14), False, 0.0),
    Part("left_shank", "left_knee", "left_ankle", 0.31, 0.31, (-0.14, 1.1), False, 0.02),
    Part("right_shank", "right_knee", "right_ankle", 0.31, 0.31, (-0.14, 1.1), False, 0.02),
    Part("left_foot", "left_ankle", "left_toe", 0.23, 0.23, (-0.35, 1.2), False, 0.02),
    Part("right_foot", "right_ankle", "right_toe", 0.23, 0.23, (-0.35, 1.2), False, 0.02),
)
PART = {part.name: index for index, part in enumerate(PARTS)}

_PROFILES = {
    "torso": ((-0.1, -0.03, 0.06, 0.2, 0.6, 1.0, 1.03), (0.3, 0.62, 0.94, 0.92, 0.76, 0.8, 0.74)),
    "hips": ((0.78, 0.95, 1.15, 1.26), (0.86, 1.0, 0.98, 0.6)),
    "neck": ((-0.6, 0.4, 1.6), (0.8, 0.8, 1.0)),
    "head": ((-0.06, 0.0, 0.15, 0.4, 0.7, 0.9, 1.04), (0.1, 0.62, 0.92, 1.0, 0.92, 0.66, 0.1)),
    "nose": ((-0.1, 1.1, 1.4), (0.4, 1.0, 0.3)),
    "upper_arm": (
        (-0.24, -0.15, 0.1, 0.5, 1.0, 1.12, 1.18),
        (0.1, 0.75, 1.0, 0.88, 0.76, 0.6, 0.1),
    ),
    "lower_arm": (
        (-0.18, -0.1, 0.2, 0.9, 1.0, 1.1, 1.3, 1.45),
        (0.1, 0.8, 1.0, 0.66, 0.62, 0.9, 0.86, 0.1),
    ),
    "thigh": ((-0.16, -0.1, 0.1, 0.5, 1.0, 1.1, 1.14), (0.1, 0.7, 1.0, 0.9, 0.68, 0.5, 0.1)),
    "shank": ((-0.14, -0.08, 0.25, 0.9, 1.03, 1.1), (0.1, 0.7, 1.0, 0.62, 0.6, 0.1)),
    "foot": ((-0.35, -0.2, 0.4, 0.9, 1.2), (0.2, 0.9, 1.0, 1.0, 0.2)),
}
"""Outline of each kind of part: places v along the bone, and half-widths in s there."""

_MARGIN = 1.25


@dataclass(frozen=True, slots=True)
class Sprite:
    """Looks of one part.

    ``picture`` is the finished sprite of a limb, or None; ``wrap`` the colors all the way round
    ``(h, W, 3)``, ``outline`` the alpha ``(h, w)`` and ``shade`` the light across ``(w,)`` of a
    wrapped part. ``to_part`` maps sprite pixels to (s, v, 1), ``(3, 3)``.
    """

    to_part: Array
    picture: Image | None
    wrap: Image | None
    outline: Image
    shade: Image

    def turned(self, angle: float) -> Image:
        """Return the sprite of the half that shows after a turn, in radians."""
        if self.picture is not None:
            return self.picture
        wrap = self.wrap
        if wrap is None:
            raise ValueError("sprite: expected a picture or a wrap, got neither")
        columns = wrap.shape[1]
        across = self.to_part[0, 0] * np.arange(self.outline.shape[1]) + self.to_part[0, 2]
        theta = np.arcsin(np.clip(across, -1, 1)) + angle
        place = (theta / (2 * np.pi) + 0.5) * columns - 0.5
        left = np.floor(place).astype(np.int64)
        share = (place - left).astype(np.float32)[:, None]
        colors = wrap[:, left % columns] * (1 - share) + wrap[:, (left + 1) % columns] * share
        picture = np.empty((*self.outline.shape, 4), np.float32)
        np.multiply(colors, (self.outline * self.shade)[..., None], out=picture[..., :3])
        picture[..., 3] = self.outline
        return picture


class Grid(NamedTuple):
    """Pixel grid of a sprite: part coordinates of its rows and columns."""

    v: Array
    s: Array
    to_part: Array


def part_grid(part: Part, length: float, scale: float) -> Grid:
    """Return the grid of a part whose bone has ``length`` head sizes, ``scale`` pixels each."""
    start, end = part.reach
    rows = max(int(np.ceil((end - start) * length * scale)), 6)
    columns = max(int(np.ceil(2 * _MARGIN * part.width * scale)), 10)
    step_v, step_s = (end - start) / rows, 2 * _MARGIN / columns
    # Rows beyond both ends keep the border transparent for the interpolation.
    v = np.asarray(start + (np.arange(-1, rows + 1) + 0.5) * step_v, np.float64)
    s = np.asarray(-_MARGIN + (np.arange(columns) + 0.5) * step_s, np.float64)
    return Grid(v, s, np.array([[step_s, 0, s[0]], [0, step_v, v[0]], [0, 0, 1]]))


def part_outline(part: Part, grid: Grid) -> Image:
    """Return the alpha of a part, softened over one sprite pixel."""
    kind = part.name.removeprefix("left_").removeprefix("right_")
    places, widths = _PROFILES[kind]
    half = np.interp(grid.v, places, widths, left=0, right=0)
    alpha = (half[:, None] - np.abs(grid.s)) / grid.to_part[0, 0] + 0.5
    return np.asarray(np.clip(alpha, 0, 1) * (half[:, None] > 0), np.float32)


def roundness(s: Array) -> Image:
    """Return the light across a rounded part lit from the upper left of the camera."""
    across = np.clip(s, -1, 1)
    facing = np.sqrt(1 - across**2)
    return np.asarray(0.42 + 0.62 * np.clip(0.9 * facing - 0.38 * across, 0, 1), np.float32)
