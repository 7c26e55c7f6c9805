"""What an augmented variant of a clip does to its crop: half body, scale, rotation, flip.

Draws depend on (seed, clip, variant) alone: other clips, other variants and the order of work do
not move them, so that raising the number of variants only adds some. Variant 0 is never augmented.

Sources: the papers name random rotation [-45, 45], random scale [0.65, 1.35], random truncation
and flipping (JM-Pose Sec. 4.1, VREMD Sec. 3.1); truncation is HRNet's half body. How the values
are drawn follows the public code of this line (HRNet, JointsDataset.py; DCPose, PoseTrack.py):
clipped Gaussians, rotation with a chance of its own. That code clips rotation at 90 degrees where
the papers say 45: ``rotation_limit`` holds the bound.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.base.params import Section
from pipeline.geometry.boxes import Region
from pipeline.skeleton import JOINTS

_LEGS = ("hip", "knee", "ankle")
UPPER_BODY = np.array([i for i, name in enumerate(JOINTS) if name.split("_")[-1] not in _LEGS])
LOWER_BODY = np.array([i for i, name in enumerate(JOINTS) if name.split("_")[-1] in _LEGS])
Chance = Annotated[float, Field(ge=0, le=1)]


class Augment(Section):
    """Params of the augmented variants."""

    seed: int
    """Seed of all draws."""
    rotation: Annotated[float, Field(ge=0)]
    """Standard deviation of the rotation, degrees."""
    rotation_limit: Annotated[float, Field(ge=0, le=180)]
    """Largest rotation, degrees: 45 in the papers, 90 in the public code."""
    rotation_chance: Chance
    """How often a variant is rotated, 0.6 in the public code."""
    scale: Annotated[float, Field(ge=0, lt=1)]
    """Standard deviation and bound of the scale around 1: 0.35 gives [0.65, 1.35]."""
    half_body_chance: Chance
    """How often a person with more than 8 labeled joints is cut to one half, 0.3."""
    flip_chance: Chance
    """How often a variant is mirrored, 0.5."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Draws of one variant of one clip, each made whether it is used or not."""

    half_body: bool
    """Whether the crop shows one half of the body, where enough joints are labeled."""
    upper: bool
    """Which half is preferred."""
    scale: float
    """Factor on the region's sides: above 1 the person becomes smaller."""
    rotation: float
    """Degrees, clockwise on the screen."""
    flip: bool
    """Whether the crop is mirrored."""


PLAIN = Draw(half_body=False, upper=False, scale=1.0, rotation=0.0, flip=False)
"""No augmentation: variant 0."""


def draw(params: Augment, clip: str, variant: int) -> Draw:
    """Return the draws of one variant of one clip.

    Args:
        params: Ranges and chances.
        clip: Name of the clip that no other clip has and that other clips cannot change.
        variant: Number of the variant; 0 is plain.
    """
    if variant == 0:
        return PLAIN
    digest = hashlib.sha256(f"{params.seed}/{clip}/{variant}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    half_body = random.random() < params.half_body_chance
    # A normal below 0.5 in 69 % of cases: HRNet asks `randn() < 0.5` where a coin was surely meant.
    upper = random.standard_normal() < 0.5
    scale = np.clip(1 + params.scale * random.standard_normal(), 1 - params.scale, 1 + params.scale)
    limit = params.rotation_limit
    rotation = np.clip(params.rotation * random.standard_normal(), -limit, limit)
    rotated = random.random() < params.rotation_chance
    flip = random.random() < params.flip_chance
    return Draw(
        half_body=bool(half_body),
        upper=bool(upper),
        scale=float(scale),
        rotation=float(rotation) if rotated else 0.0,
        flip=bool(flip),
    )


def augmented_region(
    region: Region,
    drawn: Draw,
    keypoints: NDArray[np.float64],
    labeled: NDArray[np.bool_],
) -> Region:
    """Return the region that a variant crops.

    Args:
        region: Region of the whole person.
        drawn: The variant's draws; rotation and flip are no business of the region.
        keypoints: Joints, ``(15, 2)``, image pixels.
        labeled: Which joints have coordinates, ``(15,)``.
    """
    if drawn.half_body:
        region = _half_body(region, drawn.upper, keypoints, labeled) or region
    return replace(region, height=region.height * drawn.scale, width=region.width * drawn.scale)


def _half_body(
    region: Region, upper: bool, keypoints: NDArray[np.float64], labeled: NDArray[np.bool_]
) -> Region | None:
    """Return the region around one half of the body, None where there is no telling it.

    HRNet's rule (JointsDataset.py, ``half_body_transform``): only for more than 8 labeled joints,
    the upper half unless the lower one is preferred and more than 2 of its joints are labeled.
    The center is the mean of the joints, the sides are their extent, fitted to the aspect and
    enlarged by half. HRNet's guard, which DCPose and its kin lack, asks for 2 joints; here it is
    an extent above 0, which also refuses joints that all lie on one spot.
    """
    if labeled.sum() <= 8:
        return None
    lower_joints = LOWER_BODY[labeled[LOWER_BODY]]
    upper_joints = UPPER_BODY[labeled[UPPER_BODY]]
    chosen = upper_joints if upper or len(lower_joints) <= 2 else lower_joints
    points = keypoints[chosen]
    width, height = points.max(axis=0) - points.min(axis=0)
    aspect = region.width / region.height
    width, height = max(width, height * aspect), max(height, width / aspect)
    if width <= 0:
        return None
    center = points.mean(axis=0)
    return Region((float(center[0]), float(center[1])), float(height) * 1.5, float(width) * 1.5)
