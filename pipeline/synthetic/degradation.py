"""What goes wrong with single frames: blur, and things that come between camera and people.

Faults are drawn per frame by a chain of its own that neither knows the people nor which frames
are labeled, and that seldom spoils two frames in a row: the neighbors of a bad frame are mostly
good, which is what makes looking at neighbors worth something.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]

TAGS = ("clean", "blurred", "covered", "crossing")

# Stationary share of bad frames = ENTER / (1 + ENTER - STAY) = 0.46, half of each kind.
_ENTER, _STAY = 0.56, 0.34
_SUB_FRAMES = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one frame.

    ``moments`` are times of the sub-frames relative to the frame, in frames; ``shake`` the
    picture's displacement at each, in head sizes ``(K, 2)``; ``defocus`` the radius of the blur
    disk in head sizes; ``covers`` says how many limbs of each person are hidden on average.
    """

    tag: str
    moments: Array
    shake: Array
    defocus: float
    covers: float


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


def draw_faults(rng: np.random.Generator, frames: int) -> tuple[Fault, ...]:
    """Draw the faults of a video, one per frame."""
    faults: list[Fault] = []
    bad = bool(rng.random() < 0.46)
    for _ in range(frames):
        if not bad:
            faults.append(Fault("clean", np.zeros(1), np.zeros((1, 2)), 0.0, 0.0))
        elif rng.random() < 0.5:
            faults.append(_blur(rng))
        else:
            still = np.zeros((1, 2))
            faults.append(Fault("covered", np.zeros(1), still, 0.0, rng.uniform(1.5, 3.2)))
        bad = bool(rng.random() < (_STAY if bad else _ENTER))
    return tuple(faults)


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
