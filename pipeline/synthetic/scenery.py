"""What is not a person: the background, props that stand before people, covers of one frame."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.appearance import to_linear
from pipeline.synthetic.people import FOCAL, Ground

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_MARGIN = 0.4
"""Share of the picture that the background reaches beyond each edge."""


def _shadow() -> Image:
    """Return the shadow that everybody casts: dark, soft and transparent."""
    y, x = np.mgrid[-1:1:12j, -1:1:32j]
    alpha = 0.45 * np.clip(1.0 - np.hypot(x, y), 0, 1) ** 0.7
    return np.dstack([np.zeros((*alpha.shape, 3)), alpha]).astype(np.float32)


SHADOW = _shadow()
SHADOW_REACH = (1.5, 0.4)
"""Half-axes of a shadow on the floor, in head sizes."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A flat picture in the scene.

    ``picture`` is premultiplied RGBA in linear light, ``(h, w, 4)`` (or RGB for the background);
    ``place`` maps its pixels to the resting picture, ``(2, 3)``.
    """

    picture: Image
    place: Array
    distance: float
    """Head sizes from the camera; nearer layers hide farther people."""


def _noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Array:
    """Return smooth noise of unit variance with about ``cells`` bumps across."""
    rows = max(2, round(cells * height / width))
    return np.asarray(
        cv2.resize(rng.normal(0, 1, (rows, cells)), (width, height), interpolation=cv2.INTER_CUBIC)
    )


def _color(rng: np.random.Generator, saturation: float = 0.35) -> Array:
    """Return a display color, mostly muted."""
    hsv = np.array([[(rng.random() * 360, rng.random() * saturation, rng.uniform(0.2, 0.9))]])
    return np.asarray(cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB)[0, 0], np.float64)


def _gradient(top: Array, bottom: Array, rows: int, columns: int) -> Array:
    """Return a vertical blend of two colors, ``(rows, columns, 3)``."""
    share = np.linspace(0, 1, max(rows, 1))[:, None, None]
    return np.broadcast_to(top + share * (bottom - top), (max(rows, 1), columns, 3)).copy()


def _add_shapes(rng: np.random.Generator, canvas: Array, floor: int) -> None:
    """Draw blocks and blobs that stand behind the people: houses, shelves, trees."""
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(3, 11)):
        color = _color(rng)
        x, half = rng.integers(0, width), rng.integers(width // 40, width // 8)
        top = int(floor - abs(rng.normal(0.15, 0.15)) * height)
        if rng.random() < 0.65:
            bottom = floor + int(rng.integers(-6, 14))
            cv2.rectangle(canvas, (x - half, top), (x + half, bottom), color.tolist(), -1)
            for step in range(int(rng.integers(0, 4))):
                line = top + (step + 1) * max(bottom - top, 4) // 5
                ends = (x - half, line), (x + half, line)
                cv2.line(canvas, *ends, (color * 0.75).tolist(), 2)
        else:
            axes = (half, max(int(half * rng.uniform(0.5, 1.5)), 2))
            cv2.ellipse(canvas, (x, top), axes, 0, 0, 360, color.tolist(), -1, cv2.LINE_AA)


def draw_background(rng: np.random.Generator, height: int, width: int, ground: Ground) -> Layer:
    """Draw a calm background: a wall or sky above the floor, a few shapes, smooth noise."""
    margin_y, margin_x = int(_MARGIN * height), int(_MARGIN * width)
    rows, columns = height + 2 * margin_y, width + 2 * margin_x
    floor = int(margin_y + ground.horizon + rng.uniform(2, 5) * ground.height)
    floor = min(max(floor, 8), rows - 8)
    canvas = np.concatenate(
        [
            _gradient(_color(rng), _color(rng), floor, columns),
            _gradient(_color(rng), _color(rng), rows - floor, columns),
        ]
    )
    _add_shapes(rng, canvas, floor)
    canvas *= 1 + 0.05 * _noise(rng, rows, columns, 9)[..., None]
    canvas *= 1 + rng.uniform(0.01, 0.045) * _noise(rng, rows, columns, columns // 7)[..., None]
    canvas = cv2.GaussianBlur(canvas, (0, 0), 0.8)
    place = np.array([[1.0, 0, -margin_x], [0, 1.0, -margin_y]])
    return Layer(to_linear(canvas).astype(np.float32), place, np.inf)


def _textured(rng: np.random.Generator, alpha: Array) -> Image:
    """Return a sprite of a mottled, shaded color with the given alpha."""
    rows, columns = alpha.shape
    color = _color(rng, 0.6)
    mottled = 1 + 0.12 * _noise(rng, rows, columns, max(3, columns // 6))
    light = np.linspace(1.1, 0.75, columns)
    colors = to_linear(color * (mottled * light)[..., None])
    return np.dstack([colors * alpha[..., None], alpha]).astype(np.float32)


def _prop_alpha(rng: np.random.Generator, kind: str, size: float) -> Array:
    """Return the alpha of a prop, for ``size`` pixels per head size."""
    if kind == "pole":
        return np.ones((int(11 * size), max(int(rng.uniform(0.3, 0.8) * size), 3)))
    if kind == "fence":
        alpha = np.zeros((int(rng.uniform(2.5, 4.5) * size), int(rng.uniform(8, 16) * size)))
        thick = max(int(rng.uniform(0.25, 0.5) * size), 2)
        alpha[:thick] = 1
        middle = len(alpha) // 2
        alpha[middle : middle + thick] = 1
        for column in range(0, alpha.shape[1] - thick, int(4 * size)):
            alpha[:, column : column + thick] = 1
        return alpha
    rows, columns = int(rng.uniform(1.4, 4.2) * size), int(rng.uniform(2.0, 6.0) * size)
    if kind == "box":
        return np.ones((rows, columns))
    y, x = np.mgrid[0:rows, 0:columns]
    edge = 1.05 - np.hypot((x - columns / 2) / (columns / 2), (y - rows) / rows)
    edge += 0.12 * _noise(rng, rows, columns, max(4, columns // 5))
    return np.asarray(np.clip(edge * size, 0, 1))


def draw_prop(rng: np.random.Generator, ground: Ground, width: int, size: float) -> Layer:
    """Draw a prop on the floor at the distance where a head size is ``size`` pixels."""
    kind = str(rng.choice(["pole", "fence", "box", "bush"], p=(0.3, 0.22, 0.28, 0.2)))
    alpha = np.pad(_prop_alpha(rng, kind, size), 1)
    rows, columns = alpha.shape
    foot = ground.horizon + ground.height * size
    left = rng.uniform(0, width) - columns / 2
    place = np.array([[1.0, 0, left], [0, 1.0, foot - rows + 1]])
    return Layer(_textured(rng, alpha), place, FOCAL / size)


def draw_cover(rng: np.random.Generator, middle: Array, size: float) -> Layer:
    """Draw something that hides what lies within about ``size`` pixels of a picture place."""
    rows, columns = (max(int(size * rng.uniform(0.7, 1.2)), 3) for _ in range(2))
    if rng.random() < 0.5:
        alpha = np.ones((rows, columns))
    else:
        y, x = np.mgrid[0:rows, 0:columns]
        far = np.hypot((x + 0.5) / columns - 0.5, (y + 0.5) / rows - 0.5)
        alpha = np.clip((0.5 - far) * size, 0, 1)
    picture = _textured(rng, np.pad(alpha, 1))
    angle = rng.uniform(0, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    center = np.array([(columns + 1) / 2, (rows + 1) / 2])
    return Layer(picture, np.column_stack([linear, middle - linear @ center]), 0.0)
