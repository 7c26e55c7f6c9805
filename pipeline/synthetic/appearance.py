"""Looks of people: cloth, skin and faces on the sprites of the body parts.

A sprite is a premultiplied RGBA picture in linear light, float32 ``(h, w, 4)``, over a part's own
coordinates: v runs along the bone from 0 to 1, s across it from -1 to 1. Limbs have one sprite;
head, torso and hips are wrapped with a texture that goes all the way round, of which a turn of
the body shows another half.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
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
    Part("torso", "chest", "pelvis", 1.06, 0.62, (-0.1, 1.1), True, 0.0),
    Part("hips", "chest", "pelvis", 0.82, 0.6, (0.78, 1.26), True, -0.03),
    Part("neck", "head_bottom", "chest", 0.3, 0.3, (-0.6, 1.6), False, -0.25),
    Part("head", "head_top", "head_bottom", 0.53, 0.6, (-0.06, 1.04), True, 0.12),
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
    "torso": ((-0.1, 0.3), (-0.03, 0.62), (0.06, 0.94), (0.2, 0.92), (0.6, 0.76), (1.1, 0.82)),
    "hips": ((0.78, 0.86), (0.95, 1.0), (1.15, 0.98), (1.26, 0.6)),
    "neck": ((-0.6, 0.8), (0.4, 0.8), (1.6, 1.3)),
    "head": ((-0.06, 0.1), (0.0, 0.62), (0.15, 0.92), (0.4, 1.0), (0.7, 0.92), (0.9, 0.66), (1.04, 0.1)),
    "upper_arm": ((-0.24, 0.1), (-0.15, 0.75), (0.1, 1.0), (0.5, 0.88), (1.0, 0.76), (1.12, 0.6), (1.18, 0.1)),
    "lower_arm": ((-0.18, 0.1), (-0.1, 0.8), (0.2, 1.0), (0.9, 0.66), (1.0, 0.62), (1.1, 0.9), (1.3, 0.86), (1.45, 0.1)),
    "thigh": ((-0.16, 0.1), (-0.1, 0.7), (0.1, 1.0), (0.5, 0.9), (1.0, 0.68), (1.1, 0.5), (1.14, 0.1)),
    "shank": ((-0.14, 0.1), (-0.08, 0.7), (0.25, 1.0), (0.9, 0.62), (1.03, 0.6), (1.1, 0.1)),
    "foot": ((-0.35, 0.2), (-0.2, 0.9), (0.4, 1.0), (0.9, 1.0), (1.2, 0.2)),
}  # fmt: skip
"""Outlines: (v, half-width in s) along each kind of part."""

_MARGIN = 1.25
_SKINS = np.array(
    [[0.95, 0.80, 0.69], [0.88, 0.68, 0.53], [0.78, 0.57, 0.42], [0.55, 0.37, 0.26], [0.38, 0.25, 0.18]]
)  # fmt: skip
_HAIRS = np.array(
    [[0.09, 0.07, 0.06], [0.22, 0.14, 0.09], [0.42, 0.27, 0.15], [0.75, 0.6, 0.35], [0.5, 0.2, 0.1], [0.6, 0.6, 0.6]]
)  # fmt: skip


def to_linear(colour: Array) -> Array:
    """Return linear light in [0, 1] of display values in [0, 1] (gamma 2.2)."""
    return np.asarray(np.clip(colour, 0, 1) ** 2.2)


@dataclass(frozen=True, slots=True)
class Sprite:
    """Looks of one part.

    ``picture`` is the finished sprite of a limb, or None; ``wrap`` the colours all the way round
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
        colours = wrap[:, left % columns] * (1 - share) + wrap[:, (left + 1) % columns] * share
        picture = np.empty((*self.outline.shape, 4), np.float32)
        np.multiply(colours, (self.outline * self.shade)[..., None], out=picture[..., :3])
        picture[..., 3] = self.outline
        return picture


@dataclass(frozen=True, slots=True)
class Cloth:
    """A material: base and second colour in display values, and a pattern."""

    base: Array
    second: Array
    pattern: str
    pitch: float
    """Repeats per head size."""


def draw_cloth(rng: np.random.Generator) -> Cloth:
    """Draw a material; plain ones are as common as all patterns together."""
    hue, saturation, value = rng.random() * 360, rng.beta(2, 2.2), rng.uniform(0.12, 0.95)
    second = (
        (hue + rng.uniform(60, 300)) % 360,
        rng.beta(2, 2),
        np.clip(value + rng.choice([-0.4, 0.4]), 0.05, 1),
    )
    colours = cv2.cvtColor(
        np.array([[(hue, saturation, value), second]], np.float32), cv2.COLOR_HSV2RGB
    )[0]
    patterns = ("plain", "stripes", "checks", "dots", "bands")
    pattern = str(rng.choice(patterns, p=(0.5, 0.18, 0.12, 0.08, 0.12)))
    return Cloth(
        colours[0].astype(np.float64), colours[1].astype(np.float64), pattern, rng.uniform(1.2, 2.6)
    )


def _weave(cloth: Cloth, along: Array, across: Array, rng: np.random.Generator) -> Array:
    """Return display colours ``(h, w, 3)`` of a material at places in head sizes."""
    turn = 2 * np.pi * cloth.pitch
    share = {
        "plain": lambda: np.zeros_like(along),
        "stripes": lambda: (np.sin(turn * along) > 0.2) * 1.0,
        "bands": lambda: (np.sin(turn * across) > 0.4) * 1.0,
        "checks": lambda: 0.5 * ((np.sin(turn * along) > 0) * 1.0 + (np.sin(turn * across) > 0)),
        "dots": lambda: (np.sin(turn * along) * np.sin(turn * across) > 0.55) * 1.0,
    }[cloth.pattern]()
    colours = cloth.base + share[..., None] * (cloth.second - cloth.base)
    folds = cv2.resize(rng.normal(0, 0.1, (6, 5)), along.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(colours * (1 + folds[..., None]), 0.01, 1))


class Grid(NamedTuple):
    """Pixel grid of a sprite: part coordinates of its rows and columns."""

    v: Array
    s: Array
    to_part: Array


def _grid(part: Part, length: float, scale: float) -> Grid:
    """Return the grid of a part whose bone has ``length`` head sizes, ``scale`` pixels each."""
    start, end = part.reach
    rows = max(int(np.ceil((end - start) * length * scale)), 6)
    columns = max(int(np.ceil(2 * _MARGIN * part.width * scale)), 8)
    step_v, step_s = (end - start) / rows, 2 * _MARGIN / columns
    # Rows beyond both ends keep the border transparent for the interpolation.
    v = start + (np.arange(-1, rows + 1) + 0.5) * step_v
    s = -_MARGIN + (np.arange(columns) + 0.5) * step_s
    return Grid(v, s, np.array([[step_s, 0, s[0]], [0, step_v, v[0]], [0, 0, 1]]))


def _outline(part: Part, grid: Grid) -> Image:
    """Return the alpha of a part, softened over one sprite pixel."""
    kind = part.name.removeprefix("left_").removeprefix("right_")
    places, widths = np.array(_PROFILES[kind]).T
    half = np.interp(grid.v, places, widths, left=0, right=0)
    alpha = (half[:, None] - np.abs(grid.s)) / grid.to_part[0, 0] + 0.5
    return np.asarray(np.clip(alpha, 0, 1) * (half[:, None] > 0), np.float32)


def _shade(s: Array) -> Image:
    """Return the light across a rounded part lit from the upper left of the camera."""
    across = np.clip(s, -1, 1)
    facing = np.sqrt(1 - across**2)
    return np.asarray(0.42 + 0.62 * np.clip(0.9 * facing - 0.38 * across, 0, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Outfit:
    """What a person wears and looks like."""

    skin: Array
    hair: Array
    shoe: Array
    top: Cloth
    bottom: Cloth
    sleeve: float
    """How far down the arm the sleeve reaches: below 1 within the upper arm, up to 2."""
    trouser: float
    """How far down the leg the trousers reach, likewise."""
    hair_length: float
    cap: bool
    glasses: bool
    beard: bool
    opening: str
    """What the front of the top shows."""


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Draw an outfit."""
    skin = _SKINS[rng.integers(len(_SKINS))] * rng.uniform(0.92, 1.04)
    top, bottom = draw_cloth(rng), draw_cloth(rng)
    if rng.random() < 0.6:
        bottom = Cloth(bottom.base, bottom.second, "plain", bottom.pitch)
    return Outfit(
        skin=np.clip(skin, 0, 1),
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        shoe=rng.uniform(0.05, 0.95) * rng.uniform(0.7, 1, 3),
        top=top,
        bottom=bottom,
        sleeve=float(rng.choice([0.1, 0.55, 1.3, 1.95], p=(0.12, 0.4, 0.1, 0.38))),
        trouser=float(rng.choice([0.45, 0.95, 1.95], p=(0.2, 0.15, 0.65))),
        hair_length=float(rng.choice([0.3, 0.62, 1.0], p=(0.15, 0.5, 0.35))),
        cap=bool(rng.random() < 0.15),
        glasses=bool(rng.random() < 0.15),
        beard=bool(rng.random() < 0.15),
        opening=str(rng.choice(["none", "zip", "jacket", "print"], p=(0.25, 0.25, 0.25, 0.25))),
    )


def _around(columns: int) -> Array:
    """Return the angles of a wrap's columns: 0 in front, positive to the person's left."""
    return (np.arange(columns) + 0.5) / columns * 2 * np.pi - np.pi


def _face(outfit: Outfit, v: Array, rng: np.random.Generator) -> Array:
    """Return the colours of a head all the way round, ``(h, 96, 3)``; v is 0 at the crown."""
    theta = _around(96)[None, :]
    height = v[:, None]
    colours = np.broadcast_to(outfit.skin, (len(v), 96, 3)).copy()

    def paint(mask: NDArray[np.bool_], colour: Array) -> None:
        colours[np.broadcast_to(mask, colours.shape[:2])] = colour

    side = np.abs(theta)
    if outfit.beard:
        paint((height > 0.74) & (side < 1.3), outfit.hair)
    paint((np.abs(height - 0.82) < 0.035) & (side < 0.3), np.array([0.62, 0.2, 0.2]))
    for eye in (-0.42, 0.42):
        inside = ((theta - eye) / 0.24) ** 2 + ((height - 0.5) / 0.06) ** 2
        paint(inside < 1, np.array([0.95, 0.95, 0.95]))
        paint(inside < 0.3, np.array([0.1, 0.07, 0.05]))
        paint((np.abs(theta - eye) < 0.27) & (np.abs(height - 0.4) < 0.025), outfit.hair * 0.8)
    if outfit.glasses:
        paint((np.abs(height - 0.5) < 0.07) & (side < 0.75), np.array([0.08, 0.08, 0.1]))
    hairline = 0.28 + 0.05 * np.sin(3 * theta + rng.random() * 6)
    behind = side > np.where(height < 0.42, 0.95, 1.25)
    paint((height < hairline) | (behind & (height < outfit.hair_length)), outfit.hair)
    paint((np.abs(side - np.pi / 2) < 0.2) & (np.abs(height - 0.55) < 0.09), outfit.skin * 0.85)
    if outfit.cap:
        paint(height < 0.3, outfit.top.second)
        paint((np.abs(height - 0.32) < 0.05) & (side < 0.9), outfit.top.second * 0.6)
    strands = 1 + 0.12 * rng.normal(0, 1, (1, 96))
    return np.clip(
        colours * np.where(colours.sum(-1, keepdims=True) < 1, strands[..., None], 1), 0, 1
    )


def _shirt(outfit: Outfit, v: Array, rng: np.random.Generator) -> Array:
    """Return the colours of the torso all the way round, ``(h, 96, 3)``."""
    theta = _around(96)[None, :]
    along, across = np.broadcast_arrays(v[:, None] * 2.5, theta)
    colours = _weave(outfit.top, along, across, rng)
    height, side = v[:, None], np.abs(theta)
    if outfit.opening == "jacket":
        colours[np.broadcast_to(side < 0.3, along.shape)] = outfit.top.second
    if outfit.opening == "zip":
        colours[np.broadcast_to(side < 0.07, along.shape)] = 0.15
    if outfit.opening == "print":
        colours[(np.abs(height - 0.35) < 0.12) & (side < 0.45)] = outfit.top.second
    collar = (height < 0.14 - 0.2 * side) & (side < 1)
    colours[np.broadcast_to(collar, along.shape)] = outfit.skin * 0.92
    if outfit.hair_length >= 1.0:
        colours[(height < 0.16) & (side > 2.2)] = outfit.hair
    return colours


def _limb(part: Part, outfit: Outfit, grid: Grid, length: float, rng: np.random.Generator) -> Array:
    """Return the colours of a limb, ``(h, w, 3)``."""
    along, across = np.broadcast_arrays(grid.v[:, None] * length, grid.s[None, :] * part.width)
    skin = np.broadcast_to(outfit.skin, (*along.shape, 3))
    if part.name == "neck":
        return skin * 0.88
    if part.name.endswith("foot"):
        return np.broadcast_to(outfit.shoe, (*along.shape, 3))
    arm = part.name.endswith("arm")
    reach = (outfit.sleeve if arm else outfit.trouser) - (
        "lower" in part.name or "shank" in part.name
    )
    cloth = _weave(outfit.top if arm else outfit.bottom, along, across, rng)
    return np.where((grid.v < reach)[:, None, None], cloth, skin)


def make_sprites(
    outfit: Outfit, lengths: Array, scale: float, rng: np.random.Generator
) -> tuple[Sprite, ...]:
    """Return the sprite of every part.

    Args:
        outfit: What the person wears.
        lengths: Bone length of every part in head sizes, ``(len(PARTS),)``.
        scale: Sprite pixels per head size.
        rng: Source of folds and strands.
    """
    sprites = []
    for part, length in zip(PARTS, lengths.tolist(), strict=True):
        grid = _grid(part, length, scale)
        outline, shade = _outline(part, grid), _shade(grid.s)
        if not part.wrapped:
            colours = to_linear(_limb(part, outfit, grid, length, rng)) * shade[None, :, None]
            picture = np.dstack([colours * outline[..., None], outline]).astype(np.float32)
            sprites.append(Sprite(grid.to_part, picture, None, outline, shade))
            continue
        if part.name == "head":
            wrap = _face(outfit, grid.v, rng)
        elif part.name == "torso":
            wrap = _shirt(outfit, grid.v, rng)
        else:
            around = np.broadcast_to(_around(96), (len(grid.v), 96))
            wrap = _weave(outfit.bottom, grid.v[:, None] * 2.5 + 0 * around, around, rng)
        sprites.append(
            Sprite(grid.to_part, None, to_linear(wrap).astype(np.float32), outline, shade)
        )
    return tuple(sprites)
