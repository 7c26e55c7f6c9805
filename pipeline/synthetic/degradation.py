"""Faults of frames: blur, and objects between the camera and the people.

Faults are drawn without regard to people and labels, in one of two patterns. ``independent`` faults
last one frame and seldom affect two frames in a row. ``bursts`` last three frames and are followed
by at least three clean ones: the direct neighbors of a bad frame are mostly bad in the same way,
and the frames at a distance of three on both sides are always clean.
"""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]

TAGS = ("clean", "blurred", "covered", "crossing")

FaultPattern = Literal["independent", "bursts"]

# Stationary share of bad frames = ENTER / (1 + ENTER - STAY) = 0.46, half of each kind.
_ENTER, _STAY = 0.56, 0.34

BURST = 3
"""Frames of a burst, and the fewest clean frames after it."""
# Probability that the next burst starts once BURST clean frames have passed. A cycle has
# 2 BURST + (1 - START) / START frames, so the share of bad frames is 0.46 as well.
_START = 0.66
_LONGEST_PHASE = 60
_SUB_FRAMES = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one frame.

    ``moments`` are times of the sub-frames relative to the frame, in frames; ``shake`` the
    picture's displacement at each, in head sizes ``(K, 2)``; ``defocus`` the radius of the blur
    disk in head sizes; ``covers`` says how many limbs of each person are hidden on average.
    ``burst`` is the number of the burst; all its frames have the same covers.
    """

    tag: str
    moments: Array
    shake: Array
    defocus: float
    covers: float
    burst: int | None = None


_CLEAN = Fault("clean", np.zeros(1), np.zeros((1, 2)), 0.0, 0.0)


def _blur(rng: np.random.Generator) -> Fault:
    """Draw a blurred frame: camera shake, or lens out of focus, or some of both."""
    kind = rng.random()
    travel = 0.0 if kind > 0.65 else rng.uniform(0.8, 1.5)
    defocus = 0.0 if kind < 0.3 else rng.uniform(0.28, 0.5) * (1.0 if travel == 0 else 0.6)
    moments = np.linspace(-0.5, 0.5, _SUB_FRAMES) if travel else np.zeros(1)
    angle = rng.uniform(0, np.pi)
    path = moments[:, None] * [np.cos(angle), np.sin(angle)]
    bend = rng.normal(0, 0.3) * (moments**2 - 0.1)[:, None] * [-np.sin(angle), np.cos(angle)]
    return Fault("blurred", moments * rng.uniform(0.6, 1.0), travel * (path + bend), defocus, 0.0)


def _fault(rng: np.random.Generator) -> Fault:
    """Draw a fault: blurred or covered with equal probability."""
    if rng.random() < 0.5:
        return _blur(rng)
    return Fault("covered", np.zeros(1), np.zeros((1, 2)), 0.0, rng.uniform(1.5, 3.2))


def draw_faults(
    rng: np.random.Generator, frames: int, pattern: FaultPattern = "independent"
) -> tuple[Fault, ...]:
    """Draw the faults of a video, one per frame.

    Args:
        rng: Source of random numbers.
        frames: Number of frames.
        pattern: See the docstring of the module.
    """
    if pattern == "bursts":
        return _draw_bursts(rng, frames)
    faults: list[Fault] = []
    bad = bool(rng.random() < 0.46)
    for _ in range(frames):
        faults.append(_fault(rng) if bad else _CLEAN)
        bad = bool(rng.random() < (_STAY if bad else _ENTER))
    return tuple(faults)


def _draw_bursts(rng: np.random.Generator, frames: int) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    first = int(rng.integers(_LONGEST_PHASE))
    number = 0
    while len(faults) < first + frames:
        clean = BURST - 1 + int(rng.geometric(_START))
        faults += [replace(_fault(rng), burst=number)] * BURST + [_CLEAN] * clean
        number += 1
    return tuple(faults[first : first + frames])


def smeared(picture: Image, step: Array) -> Image:
    """Return a picture in linear light spread over a straight step ``(2,)`` in pixels.

    It closes the gaps between the sub-frames of a blurred one.
    """
    reach = int(np.ceil(np.abs(step).max() / 2))
    if reach < 1:
        return picture
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    places = reach + step * np.linspace(-0.5, 0.5, 16)[:, None]
    columns, rows = np.round(places).astype(np.int64).T
    np.add.at(kernel, (rows, columns), 1 / 16)
    return np.asarray(
        cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.float32
    )


def out_of_focus(picture: Image, radius: float) -> Image:
    """Return a picture in linear light spread over a disk of ``radius`` pixels."""
    if radius < 0.5:
        return picture
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    kernel = (disk / disk.sum()).astype(np.float32)
    return np.asarray(
        cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.float32
    )
