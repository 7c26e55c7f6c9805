"""What people do: joint angles over time.

Every angle is a mean, a swing at the person's own rate and a slow drift. A table holds what
walking, sitting or dancing are; a person is a draw around one row of it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SIDED = ("arm_flex", "arm_abduct", "arm_turn", "elbow", "hip_flex", "hip_abduct", "knee")
ANGLES = (
    "lean",
    "roll",
    "twist",
    "head_turn",
    "head_nod",
    *(f"left_{name}" for name in _SIDED),
    *(f"right_{name}" for name in _SIDED),
)
"""Joint angles in degrees; flexion is forward, abduction outward, ``arm_turn`` inward."""
ANGLE = {name: index for index, name in enumerate(ANGLES)}
_LEGS = np.array([name.partition("_")[2] in _SIDED[4:] for name in ANGLES])


class Swing(NamedTuple):
    """One angle of an action: mean and amplitude in degrees, lag in turns."""

    mean: float
    amplitude: float = 0.0
    lag: float = 0.0
    alternate: bool = True
    """Whether left and right swing half a turn apart."""
    harmonic: int = 1


class Action(NamedTuple):
    """A kind of movement: how often it is drawn, its rate, its speed over ground, its angles."""

    weight: float
    cycles: tuple[float, float]
    """Range of the rate, in cycles per frame."""
    stride: float
    """Head sizes traveled per cycle along the facing direction."""
    swings: dict[str, Swing]


ACTIONS = {
    "stand": Action(
        5.0,
        (0.008, 0.03),
        0.0,
        {
            "arm_flex": Swing(4, 5),
            "arm_abduct": Swing(9, 3),
            "elbow": Swing(18, 6),
            "head_turn": Swing(0, 14),
            "hip_flex": Swing(4, 8),
            "hip_abduct": Swing(5, 3, 0.1),
            "knee": Swing(10, 8, 0.2),
            "roll": Swing(0, 3),
        },
    ),
    "talk": Action(
        3.0,
        (0.012, 0.045),
        0.0,
        {
            "arm_flex": Swing(22, 14, 0.1),
            "arm_abduct": Swing(14, 6, 0.3),
            "arm_turn": Swing(25, 18, 0.2),
            "elbow": Swing(70, 24),
            "head_turn": Swing(0, 18),
            "hip_flex": Swing(4, 7),
            "hip_abduct": Swing(6, 3, 0.2),
            "knee": Swing(10, 7, 0.1),
        },
    ),
    "walk": Action(
        5.0,
        (0.02, 0.045),
        5.4,
        {
            "lean": Swing(3, 1, 0, False, 2),
            "twist": Swing(0, 7, 0.5),
            "arm_flex": Swing(2, 24, 0.5),
            "arm_abduct": Swing(7, 2),
            "elbow": Swing(22, 12, 0.5),
            "hip_flex": Swing(8, 25),
            "hip_abduct": Swing(2),
            "knee": Swing(28, 25, 0.22),
        },
    ),
    "run": Action(
        1.8,
        (0.042, 0.075),
        8.0,
        {
            "lean": Swing(12, 2, 0, False, 2),
            "twist": Swing(0, 12, 0.5),
            "arm_flex": Swing(5, 40, 0.5),
            "arm_abduct": Swing(12, 3),
            "elbow": Swing(85, 15, 0.5),
            "hip_flex": Swing(20, 40),
            "knee": Swing(58, 42, 0.24),
        },
    ),
    "raise_arms": Action(
        1.6,
        (0.012, 0.035),
        0.0,
        {
            "arm_flex": Swing(10, 5),
            "arm_abduct": Swing(95, 55, 0, False),
            "elbow": Swing(18, 12),
            "hip_abduct": Swing(7, 3, 0, False),
            "knee": Swing(8, 6, 0, False),
        },
    ),
    "wave": Action(
        1.4,
        (0.02, 0.06),
        0.0,
        {
            "arm_flex": Swing(75, 60, 0.2),
            "arm_abduct": Swing(25, 12),
            "elbow": Swing(60, 40, 0.4),
            "head_turn": Swing(0, 15),
            "roll": Swing(0, 6),
            "hip_abduct": Swing(6),
            "knee": Swing(8, 6),
        },
    ),
    "dance": Action(
        2.0,
        (0.022, 0.065),
        0.0,
        {
            "lean": Swing(6, 7, 0.1, False, 2),
            "roll": Swing(0, 12),
            "twist": Swing(0, 22, 0.2),
            "head_turn": Swing(0, 22),
            "arm_flex": Swing(60, 50, 0.3),
            "arm_abduct": Swing(40, 28, 0.1),
            "arm_turn": Swing(10, 30),
            "elbow": Swing(65, 40, 0.6),
            "hip_flex": Swing(18, 20),
            "hip_abduct": Swing(12, 7, 0, False),
            "knee": Swing(38, 26, 0.2),
        },
    ),
    "sit": Action(
        1.6,
        (0.008, 0.03),
        0.0,
        {
            "lean": Swing(4, 4, 0, False),
            "arm_flex": Swing(30, 14, 0.2),
            "arm_abduct": Swing(10, 5),
            "arm_turn": Swing(18, 10),
            "elbow": Swing(50, 22),
            "head_turn": Swing(0, 18),
            "hip_flex": Swing(84, 2),
            "hip_abduct": Swing(11, 3),
            "knee": Swing(86, 4),
        },
    ),
    "crouch": Action(
        1.2,
        (0.012, 0.04),
        0.0,
        {
            "lean": Swing(34, 10, 0, False),
            "arm_flex": Swing(58, 20),
            "arm_abduct": Swing(12, 5),
            "elbow": Swing(35, 18),
            "head_nod": Swing(-12, 6, 0, False),
            "hip_flex": Swing(62, 22, 0, False),
            "hip_abduct": Swing(14, 3, 0, False),
            "knee": Swing(82, 28, 0, False),
        },
    ),
    "bend": Action(
        1.0,
        (0.01, 0.03),
        0.0,
        {
            "lean": Swing(42, 24, 0, False),
            "arm_flex": Swing(48, 24, 0, False),
            "arm_abduct": Swing(10, 4),
            "elbow": Swing(25, 12),
            "head_nod": Swing(-14, 6, 0, False),
            "hip_flex": Swing(12, 6),
            "hip_abduct": Swing(6),
            "knee": Swing(20, 10, 0, False),
        },
    ),
    "kick": Action(
        1.0,
        (0.022, 0.065),
        0.0,
        {
            "lean": Swing(-2, 9, 0, False),
            "twist": Swing(0, 18, 0.5),
            "arm_flex": Swing(20, 34, 0.5),
            "arm_abduct": Swing(38, 14),
            "elbow": Swing(40, 20),
            "hip_flex": Swing(25, 42),
            "hip_abduct": Swing(8, 4),
            "knee": Swing(36, 32, 0.3),
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Movement:
    """Angles over time, in degrees and cycles per frame; arrays follow ``ANGLES``."""

    mean: Array
    amplitude: Array
    lag: Array
    harmonic: Array
    drift: Array
    drift_rate: Array
    drift_lag: Array
    cycles: float
    stride: float

    def angles(self, times: Array) -> Array:
        """Return all angles in radians, ``(N, len(ANGLES))``, at times in frames."""
        moments = times[:, None]
        swing = np.sin(2 * np.pi * (self.harmonic * self.cycles * moments + self.lag))
        drift = np.sin(2 * np.pi * (self.drift_rate * moments + self.drift_lag))
        degrees = self.mean + self.amplitude * swing + self.drift * drift
        for name in ("elbow", "knee"):
            for side in ("left", "right"):
                column = ANGLE[f"{side}_{name}"]
                degrees[:, column] = np.clip(degrees[:, column], 2, 150)
        return np.asarray(np.radians(degrees))


def draw_movement(rng: np.random.Generator, action: str, pace: float) -> Movement:
    """Draw one person's own version of an action.

    Args:
        rng: Source of the draw.
        action: A key of ``ACTIONS``.
        pace: Factor on the rate; 1 is the action's usual one.

    Raises:
        KeyError: If there is no such action.
    """
    kind = ACTIONS[action]
    count = len(ANGLES)
    mean, amplitude, lag = np.zeros(count), np.zeros(count), np.zeros(count)
    harmonic = np.ones(count)
    for column, angle in enumerate(ANGLES):
        side, _, rest = angle.partition("_")
        sided = side in ("left", "right")
        swing = kind.swings.get(rest if sided else angle)
        if swing is None:
            continue
        mean[column], amplitude[column], harmonic[column] = (
            swing.mean,
            swing.amplitude,
            swing.harmonic,
        )
        lag[column] = swing.lag + (0.5 if swing.alternate and side == "right" else 0.0)
    jitter = np.where(np.char.find(np.array(ANGLES), "arm_") >= 0, 11.0, 5.0)
    mean += rng.normal(0, jitter)
    amplitude *= rng.normal(1, 0.15, count)
    lag += rng.random() + rng.normal(0, 0.02, count)
    return Movement(
        mean=mean,
        amplitude=amplitude,
        lag=lag,
        harmonic=harmonic,
        drift=np.abs(rng.normal(0, np.where(_LEGS, 6.0, 3.5))),
        drift_rate=rng.uniform(0.005, 0.05, count),
        drift_lag=rng.random(count),
        cycles=rng.uniform(*kind.cycles) * pace,
        stride=kind.stride,
    )
