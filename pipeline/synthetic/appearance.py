"""Looks of people: cloth, skin, hair and faces, painted on the sprites of the body parts."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.parts import (
    PARTS,
    Grid,
    Part,
    Sprite,
    part_grid,
    part_outline,
    roundness,
)

Array = NDArray[np.float64]


_SKINS = np.array(
    [
        [0.95, 0.80, 0.69],
        [0.88, 0.68, 0.53],
        [0.78, 0.57, 0.42],
        [0.55, 0.37, 0.26],
        [0.38, 0.25, 0.18],
    ]
)
_HAIRS = np.array(
    [
        [0.09, 0.07, 0.06],
        [0.22, 0.14, 0.09],
        [0.42, 0.27, 0.15],
        [0.75, 0.6, 0.35],
        [0.5, 0.2, 0.1],
        [0.6, 0.6, 0.6],
    ]
)


def to_linear(color: Array) -> Array:
    """Return linear light in [0, 1] of display values in [0, 1] (gamma 2.2)."""
    return np.asarray(np.clip(color, 0, 1) ** 2.2)


@dataclass(frozen=True, slots=True)
class Cloth:
    """A material: base and second color in display values, and a pattern."""

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
    colors = cv2.cvtColor(
        np.array([[(hue, saturation, value), second]], np.float32), cv2.COLOR_HSV2RGB
    )[0]
    patterns = ("plain", "stripes", "checks", "dots", "bands")
    pattern = str(rng.choice(patterns, p=(0.5, 0.18, 0.12, 0.08, 0.12)))
    return Cloth(
        colors[0].astype(np.float64), colors[1].astype(np.float64), pattern, rng.uniform(1.2, 2.6)
    )


def _weave(cloth: Cloth, along: Array, across: Array, rng: np.random.Generator) -> Array:
    """Return display colors ``(h, w, 3)`` of a material at places in head sizes."""
    turn = 2 * np.pi * cloth.pitch
    rows, columns = np.sin(turn * along), np.sin(turn * across)
    shares = {
        "plain": 0.0 * rows,
        "stripes": (rows > 0.2) * 1.0,
        "bands": (columns > 0.4) * 1.0,
        "checks": 0.5 * ((rows > 0) * 1.0 + (columns > 0)),
        "dots": (rows * columns > 0.55) * 1.0,
    }
    share = shares[cloth.pattern]
    colors = cloth.base + share[..., None] * (cloth.second - cloth.base)
    folds = cv2.resize(rng.normal(0, 0.1, (6, 5)), along.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(colors * (1 + folds[..., None]), 0.01, 1))


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
    """Return the colors of a head all the way round, ``(h, 96, 3)``; v is 0 at the crown."""
    theta = _around(96)[None, :]
    height = v[:, None]
    colors = np.broadcast_to(outfit.skin, (len(v), 96, 3)).copy()

    def paint(mask: NDArray[np.bool_], color: Array) -> None:
        colors[np.broadcast_to(mask, colors.shape[:2])] = color

    side = np.abs(theta)
    if outfit.beard:
        paint((height > 0.74) & (side < 1.3), outfit.hair)
    paint((np.abs(height - 0.82) < 0.035) & (side < 0.3), np.array([0.62, 0.2, 0.2]))
    for eye in (-0.42, 0.42):
        inside = ((theta - eye) / 0.22) ** 2 + ((height - 0.5) / 0.05) ** 2
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
        colors * np.where(colors.sum(-1, keepdims=True) < 1, strands[..., None], 1), 0, 1
    )


def _shirt(outfit: Outfit, v: Array, rng: np.random.Generator) -> Array:
    """Return the colors of the torso all the way round, ``(h, 96, 3)``."""
    theta = _around(96)[None, :]
    along, across = np.broadcast_arrays(v[:, None] * 2.5, theta)
    colors = _weave(outfit.top, along, across, rng)
    height, side = v[:, None], np.abs(theta)
    if outfit.opening == "jacket":
        colors[np.broadcast_to(side < 0.3, along.shape)] = outfit.top.second
    if outfit.opening == "zip":
        colors[np.broadcast_to(side < 0.07, along.shape)] = 0.15
    if outfit.opening == "print":
        colors[(np.abs(height - 0.35) < 0.12) & (side < 0.45)] = outfit.top.second
    collar = (height < 0.14 - 0.2 * side) & (side < 1)
    colors[np.broadcast_to(collar, along.shape)] = outfit.skin * 0.92
    if outfit.hair_length >= 1.0:
        colors[(height < 0.16) & (side > 2.2)] = outfit.hair
    return colors


def _limb(part: Part, outfit: Outfit, grid: Grid, length: float, rng: np.random.Generator) -> Array:
    """Return the colors of a limb, ``(h, w, 3)``."""
    along, across = np.broadcast_arrays(grid.v[:, None] * length, grid.s[None, :] * part.width)
    skin = np.broadcast_to(outfit.skin, (*along.shape, 3))
    if part.name in ("neck", "nose"):
        return skin * (0.88 if part.name == "neck" else 0.95)
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
        grid = part_grid(part, length, scale)
        outline, shade = part_outline(part, grid), roundness(grid.s)
        if not part.wrapped:
            colors = to_linear(_limb(part, outfit, grid, length, rng)) * shade[None, :, None]
            picture = np.dstack([colors * outline[..., None], outline]).astype(np.float32)
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
