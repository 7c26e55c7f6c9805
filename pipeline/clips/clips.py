"""Clips: a person in a key frame, its neighboring frames, and the transform that crops them all.

The rows of the clip table say everything about a clip's pixels; cutting them out is left to
``pipeline.clips.cropping``.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clips.augment import (
    NO_AUGMENTATION,
    Augment,
    Augmentation,
    augmented_region,
    sample_augmentation,
)
from pipeline.geometry.affine import crop_matrix, mirror, transform
from pipeline.geometry.boxes import crop_region
from pipeline.skeleton import FLIP, JOINT_SLOTS, SLOTS
from pipeline.tables.schemas import CLIPS

_Row = Mapping[Hashable, Any]
FLIP_ONLY = replace(NO_AUGMENTATION, flip=True)
"""The copy for the flip test: nothing but mirrored."""


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How clips are cut, the same for every video of a split."""

    crop_size: tuple[int, int]
    """Height and width, pixels."""
    enlarge: float
    """Factor on the box after the aspect fix."""
    delta: int
    """Neighbors on each side: T = 2 delta + 1 frames."""
    augment: Augment | None
    """How variants from 1 on are drawn; None: variant 1 is the mirror image of variant 0."""

    def augmentation(self, clip: str, variant: int) -> Augmentation:
        """Return the draws of one variant of one clip."""
        if self.augment is not None:
            return sample_augmentation(self.augment, clip, variant)
        return FLIP_ONLY if variant else NO_AUGMENTATION


@dataclass(frozen=True, slots=True)
class VideoBoxes:
    """The boxes of one video that become clips, and who is in them."""

    video: str
    frames: int
    """Frames of the video."""
    boxes: pd.DataFrame
    """Rows of ``schemas.BOXES`` on key frames, sorted by frame and row."""
    people: pd.DataFrame
    """Rows of ``schemas.PEOPLE``, for the joints of ground-truth boxes."""


def clip_frames(key: int, frames: int, delta: int) -> NDArray[np.int32]:
    """Return the T = 2 delta + 1 frames of a clip; those beyond the video's ends are its ends.

    DCPose and its kin repeat the key frame in their place instead; DSTA and mmpose clip as here.

    Args:
        key: Position of the key frame.
        frames: Frames of the video.
        delta: Neighbors on each side.
    """
    return np.arange(key - delta, key + delta + 1).clip(0, frames - 1).astype(np.int32)


def clip_rows(source: VideoBoxes, variant: int, settings: ClipSettings) -> pd.DataFrame:
    """Return the clips of one variant of a video, as rows of ``schemas.CLIPS``.

    Args:
        source: The video's boxes and people.
        variant: Number of the variant.
        settings: How clips are cut.

    Raises:
        ValueError: If a box has no area, or names a person that the annotations lack.
    """
    people = {
        (person["frame"], person["person"]): person for person in source.people.to_dict("records")
    }
    rows = []
    for clip, box in enumerate(source.boxes.to_dict("records")):
        slots, track_id = _joints_of_box(source.video, box, people)
        keypoints, labels = _joints(slots)
        augmentation = settings.augmentation(f"{source.video}/{box['frame']}/{box['row']}", variant)
        box_xywh = np.array([box[side] for side in "xywh"])
        to_crop = _matrix(box_xywh, keypoints, labels > 0, augmentation, settings)
        in_crop, visible = _joints_in_crop(keypoints, labels, to_crop, augmentation.flip, settings)
        rows.append(
            (
                *(source.video, clip, variant, box["frame"]),
                clip_frames(box["frame"], source.frames, settings.delta),
                *(box["person"], track_id, box["score"], *box_xywh),
                *(to_crop.ravel(), augmentation.flip, in_crop.ravel(), visible),
            )
        )
    return pd.DataFrame(rows, columns=CLIPS.names)


def _joints_of_box(
    video: str,
    box: Mapping[Hashable, Any],
    people: Mapping[tuple[int, int], Mapping[Hashable, Any]],
) -> tuple[NDArray[np.float64], int]:
    """Return the 17 slots ``(51,)`` and the track of whom a box shows; none for a detection."""
    if box["person"] < 0:
        return np.zeros(3 * len(SLOTS)), -1
    person = people.get((box["frame"], box["person"]))
    if person is None:
        raise ValueError(
            f"video {video!r}, frame {box['frame']}: a box names person {box['person']}, whom the "
            "annotations lack; run the stages index and detect again"
        )
    return np.asarray(person["keypoints"], dtype=np.float64), int(person["track_id"])


def _joints(slots: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return the 15 joints, image pixels, and their labels: 0 none, 1 occluded, 2 visible.

    A joint is labeled unless its three numbers are 0 (poseval, convert.py); the flag of an
    occluded one is 0, other values are what PoseTrack writes for visible joints.
    """
    table = slots.reshape(len(SLOTS), 3)[JOINT_SLOTS]
    labels = np.where(table[:, 2] > 0, 2, 1) * (table != 0).any(axis=1)
    return table[:, :2], labels.astype(np.int8)


def _matrix(
    box_xywh: NDArray[np.float64],
    keypoints: NDArray[np.float64],
    labeled: NDArray[np.bool_],
    augmentation: Augmentation,
    settings: ClipSettings,
) -> NDArray[np.float64]:
    """Return the one transform of a clip, ``(2, 3)``: of all its frames and all its joints."""
    region = crop_region(box_xywh, settings.crop_size, settings.enlarge)
    region = augmented_region(region, augmentation, keypoints, labeled)
    to_crop = crop_matrix(region, settings.crop_size, augmentation.rotation)
    return mirror(to_crop, settings.crop_size[1]) if augmentation.flip else to_crop


def _joints_in_crop(
    keypoints: NDArray[np.float64],
    labels: NDArray[np.int8],
    to_crop: NDArray[np.float64],
    flip: bool,
    settings: ClipSettings,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return the joints in crop pixels, ``(15, 2)``, and how they are seen there, ``(15,)``."""
    in_crop = np.where(labels[:, None] > 0, transform(keypoints, to_crop), 0)
    if flip:
        in_crop, labels = in_crop[FLIP], labels[FLIP]
    height, width = settings.crop_size
    inside = ((in_crop >= 0) & (in_crop <= (width - 1, height - 1))).all(axis=1)
    return in_crop, np.where(inside, labels, 0).astype(np.int8)
