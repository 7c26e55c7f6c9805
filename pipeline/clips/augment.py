"""Data augmentation of clips: half body, scale, rotation and horizontal flip.

The random values of a variant depend only on the seed, the clip and the variant number, not on
other clips or on the order of the work. A larger number of variants therefore only adds variants.
Variant 0 is never augmented.

Source: the papers give random rotation [-45, 45], random scale [0.65, 1.35], random truncation
and flipping (JM-Pose Sec. 4.1, VREMD Sec. 3.1). Truncation is HRNet's half-body crop. The values
are sampled as in the public code (HRNet, JointsDataset.py; DCPose, PoseTrack.py): clipped
Gaussians, and a separate probability of rotation. That code clips the rotation at 90 degrees, the
papers at 45: ``rotation_limit`` sets the bound.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.core.geometry.boxes import Region
from pipeline.core.params import Section
from pipeline.core.skeleton import JOINTS

_LEGS = ("hip", "knee", "ankle")
UPPER_BODY = np.array([i for i, name in enumerate(JOINTS) if name.split("_")[-1] not in _LEGS])
LOWER_BODY = np.array([i for i, name in enumerate(JOINTS) if name.split("_")[-1] in _LEGS])
Probability = Annotated[float, Field(ge=0, le=1)]


class Augment(Section):
    """Parameters of the augmentation."""

    seed: int
    """Seed of all random values."""
    rotation: Annotated[float, Field(ge=0)]
    """Standard deviation of the rotation, degrees."""
    rotation_limit: Annotated[float, Field(ge=0, le=180)]
    """Largest rotation, degrees: 45 in the papers, 90 in the public code."""
    rotation_chance: Probability
    """Probability that a variant is rotated; 0.6 in the public code."""
    scale: Annotated[float, Field(ge=0, lt=1)]
    """Standard deviation and bound of the scale about 1: 0.35 gives [0.65, 1.35]."""
    half_body_chance: Probability
    """Probability of a half-body crop of a person with more than 8 labeled joints; 0.3."""
    flip_chance: Probability
    """Probability of a horizontal flip; 0.5."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Sampled augmentation of one variant of one clip."""

    half_body: bool
    """Whether the crop shows half of the body, if enough joints are labeled."""
    upper: bool
    """Whether the upper half is preferred."""
    scale: float
    """Factor on the sides of the region. Above 1 the person becomes smaller."""
    rotation: float
    """Degrees, clockwise on the screen."""
    flip: bool
    """Whether the crop is flipped horizontally."""


NO_AUGMENTATION = Augmentation(half_body=False, upper=False, scale=1.0, rotation=0.0, flip=False)
"""The identity, used for variant 0."""


def sample_augmentation(params: Augment, clip: str, variant: int) -> Augmentation:
    """Sample the augmentation of one variant of one clip.

    Args:
        params: Ranges and probabilities.
        clip: Unique name of the clip, independent of other clips.
        variant: Number of the variant. Variant 0 is not augmented.
    """
    if variant == 0:
        return NO_AUGMENTATION
    digest = hashlib.sha256(f"{params.seed}/{clip}/{variant}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    half_body = random.random() < params.half_body_chance
    # As in HRNet: `randn() < 0.5`, which is true in 69 % of cases, not in 50 %.
    upper = random.standard_normal() < 0.5
    scale = np.clip(1 + params.scale * random.standard_normal(), 1 - params.scale, 1 + params.scale)
    limit = params.rotation_limit
    rotation = np.clip(params.rotation * random.standard_normal(), -limit, limit)
    rotated = random.random() < params.rotation_chance
    flip = random.random() < params.flip_chance
    return Augmentation(
        half_body=bool(half_body),
        upper=bool(upper),
        scale=float(scale),
        rotation=float(rotation) if rotated else 0.0,
        flip=bool(flip),
    )


def augmented_region(
    region: Region,
    augmentation: Augmentation,
    keypoints: NDArray[np.float64],
    labeled: NDArray[np.bool_],
) -> Region:
    """Return the image region that an augmented variant crops.

    Args:
        region: Region of the full person.
        augmentation: Sampled augmentation. Rotation and flip do not change the region.
        keypoints: Joints, ``(15, 2)``, image pixels.
        labeled: Which joints have coordinates, ``(15,)``.
    """
    if augmentation.half_body:
        region = _half_body(region, augmentation.upper, keypoints, labeled) or region
    scale = augmentation.scale
    return replace(region, height=region.height * scale, width=region.width * scale)


def _half_body(
    region: Region, upper: bool, keypoints: NDArray[np.float64], labeled: NDArray[np.bool_]
) -> Region | None:
    """Return the region of one half of the body, or None if it is undefined.

    HRNet's rule (JointsDataset.py, ``half_body_transform``): a half-body crop needs more than 8
    labeled joints. It shows the upper half, unless the lower half is preferred and has more than
    2 labeled joints. The center is the mean of the joints. The sides are their extent, extended to
    the aspect ratio of the crop and enlarged by 50 %. HRNet requires at least 2 joints (DCPose and
    its derivatives do not check). This function requires a positive extent, which also rejects
    joints that coincide.
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
