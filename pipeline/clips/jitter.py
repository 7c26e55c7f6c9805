"""Jitter of the boxes of train clips, so that heads learn with boxes as inexact as detected ones.

Annotated boxes are exact and detected ones are not: a head that was trained on exact crops alone
gains less with detected boxes. Neither paper has it. All frames of a clip share one box, so that
jitter moves the crops of all frames, their heatmaps, flow and tokens in the same way.
"""

import hashlib
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.core.params import Section

LIMIT = 2.0
"""Bound of the random values in standard deviations."""


class Jitter(Section):
    """Size of the jitter; with 0 in both, boxes are exact."""

    shift: Annotated[float, Field(ge=0, lt=0.5)]
    """Standard deviation of the shift of the center, share of the box's width and height."""
    scale: Annotated[float, Field(ge=0, lt=0.5)]
    """Standard deviation of the factor on width and on height about 1."""


def jitter_box(box_xywh: NDArray[np.float64], params: Jitter, draw: str) -> NDArray[np.float64]:
    """Return a box that is moved and scaled at random.

    Shift and scale are independent per axis, normal, and clipped at ``LIMIT`` standard deviations.

    Args:
        box_xywh: Left, top, width and height.
        params: Size of the jitter.
        draw: Name of the draw: the same name and params give the same result.

    Returns:
        The box, xywh.
    """
    digest = hashlib.sha256(draw.encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    values = random.standard_normal(4).clip(-LIMIT, LIMIT)
    corner, sides = box_xywh[:2], box_xywh[2:]
    center = corner + sides / 2 + params.shift * values[:2] * sides
    jittered = sides * (1 + params.scale * values[2:])
    return np.concatenate([center - jittered / 2, jittered])
