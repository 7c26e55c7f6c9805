"""The moving camera: one similarity of the picture plane per moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    """Pan, zoom and rotation about the middle of the picture, as sums of slow waves.

    Rows of ``amplitude``, ``rate`` and ``lag`` are pan x and pan y in pixels, the logarithm of the
    zoom, and the rotation in radians; columns are waves. ``drift`` is a constant speed per row.
    """

    height: int
    width: int
    amplitude: Array
    rate: Array
    lag: Array
    drift: Array

    def matrices(self, times: Array) -> Array:
        """Return the maps from the resting picture to the moved one, ``(N, 2, 3)``."""
        phase = 2 * np.pi * (self.rate * times[:, None, None] + self.lag)
        moves = (self.amplitude * np.sin(phase)).sum(axis=-1) + self.drift * times[:, None]
        pan_x, pan_y, zoom, angle = moves.T
        cos, sin = np.exp(zoom) * np.cos(angle), np.exp(zoom) * np.sin(angle)
        x, y = (self.width - 1) / 2, (self.height - 1) / 2
        matrices = np.empty((len(times), 2, 3))
        matrices[:, 0, 0], matrices[:, 0, 1] = cos, -sin
        matrices[:, 1, 0], matrices[:, 1, 1] = sin, cos
        matrices[:, 0, 2] = x + pan_x - cos * x + sin * y
        matrices[:, 1, 2] = y + pan_y - sin * x - cos * y
        return matrices


def draw_camera(rng: np.random.Generator, height: int, width: int, frames: int) -> Camera:
    """Draw a camera: from a tripod to a hand, quick pans being rare."""
    pace = np.exp(rng.normal(-0.5, 1.1))
    unit = height / 240
    limits = np.array([9.0 * unit, 4.0 * unit, 0.03, 0.02])[:, None]
    rate = np.array([0.012, 0.035, 0.11]) * rng.uniform(0.7, 1.3, (4, 3))
    # Amplitudes fall with the rate: speed is spread evenly over the waves.
    amplitude = np.minimum(pace, 3.0) * limits * rng.normal(0, 1, (4, 3)) * (0.012 / rate)
    drift = (
        np.array([0.45 * unit, 0.12 * unit, 0.0012, 0.0008]) * rng.normal(0, 1, 4) * min(pace, 3.0)
    )
    # Bounded travel: people must not all leave the picture in a long video.
    drift *= min(1.0, 40 / max(frames, 1))
    return Camera(height, width, amplitude, rate, rng.random((4, 3)), drift)
