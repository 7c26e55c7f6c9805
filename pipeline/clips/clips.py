"""Clips: a person in a key frame, the neighboring frames, and the transform of their crops.

A row of the clip table determines the pixels of the clip. ``pipeline.clips.cropping`` crops them.
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
from pipeline.clips.jitter import Jitter, jitter_box
from pipeline.core.geometry.affine import crop_matrix, mirror, transform
from pipeline.core.geometry.boxes import crop_region
from pipeline.core.skeleton import FLIP, JOINT_SLOTS, SLOTS
from pipeline.core.tables.schemas import CLIPS

FLIP_ONLY = replace(NO_AUGMENTATION, flip=True)
"""The flipped copy for flip testing."""


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """Parameters of the clips of a split."""

    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""
    enlarge: float
    """Factor on the box after it was extended to the aspect ratio of the crop."""
    delta: int
    """Number of neighboring frames on each side; T = 2 delta + 1."""
    gap: int
    """Distance between consecutive frames of a clip, in frames of the video."""
    augment: Augment | None
    """Augmentation of variants 1, 2, ...; if None, variant 1 is the flipped copy of variant 0."""
    jitter: Jitter | None
    """Jitter of the boxes of all variants; used only with ``augment``, whose seed it shares."""

    def augmentation(self, clip: str, variant: int) -> Augmentation:
        """Return the augmentation of one variant of one clip."""
        if self.augment is not None:
            return sample_augmentation(self.augment, clip, variant)
        return FLIP_ONLY if variant else NO_AUGMENTATION

    def crop_box(
        self, box_xywh: NDArray[np.float64], clip: str, variant: int
    ) -> NDArray[np.float64]:
        """Return the box that one variant of one clip is cropped to, xywh."""
        if self.augment is None or self.jitter is None:
            return box_xywh
        return jitter_box(box_xywh, self.jitter, f"jitter/{self.augment.seed}/{clip}/{variant}")


@dataclass(frozen=True, slots=True)
class VideoBoxes:
    """The boxes of one video and the annotated people in them."""

    video: str
    frames: int
    """Number of frames of the video."""
    boxes: pd.DataFrame
    """Rows of ``schemas.BOXES`` on key frames, sorted by frame and row."""
    people: pd.DataFrame
    """Rows of ``schemas.PEOPLE``, which contain the joints of ground-truth boxes."""


def clip_frames(key: int, frames: int, delta: int, gap: int) -> NDArray[np.int32]:
    """Return the T = 2 delta + 1 frame positions of a clip, clamped to the video.

    DSTA and mmpose clamp as well. DCPose and its derivatives repeat the key frame instead.

    Args:
        key: Position of the key frame.
        frames: Number of frames of the video.
        delta: Number of neighboring frames on each side.
        gap: Distance between consecutive frames of the clip.
    """
    offsets = gap * np.arange(-delta, delta + 1)
    return (key + offsets).clip(0, frames - 1).astype(np.int32)


def clip_rows(source: VideoBoxes, variant: int, settings: ClipSettings) -> pd.DataFrame:
    """Return the clips of one variant of a video, as rows of ``schemas.CLIPS``.

    Args:
        source: Boxes and people of the video.
        variant: Number of the variant.
        settings: Parameters of the clips.

    Raises:
        ValueError: If a box has no area, or its person is missing from the annotations.
    """
    people = {
        (person["frame"], person["person"]): person for person in source.people.to_dict("records")
    }
    rows = []
    for clip, box in enumerate(source.boxes.to_dict("records")):
        slots, track_id = _joints_of_box(source.video, box, people)
        keypoints, labels = _joints(slots)
        name = f"{source.video}/{box['frame']}/{box['row']}"
        augmentation = settings.augmentation(name, variant)
        box_xywh = np.array([box[side] for side in "xywh"])
        crop_box = settings.crop_box(box_xywh, name, variant)
        to_crop = _matrix(crop_box, keypoints, labels > 0, augmentation, settings)
        in_crop, visible = _joints_in_crop(keypoints, labels, to_crop, augmentation.flip, settings)
        rows.append(
            (
                *(source.video, clip, variant, box["frame"]),
                clip_frames(box["frame"], source.frames, settings.delta, settings.gap),
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
    """Return the 17 slots ``(51,)`` and the track id of the person in a box.

    A detection has zeros and track id -1.
    """
    if box["person"] < 0:
        return np.zeros(3 * len(SLOTS)), -1
    person = people.get((box["frame"], box["person"]))
    if person is None:
        raise ValueError(
            f"video {video!r}, frame {box['frame']}: expected person {box['person']} in the "
            "annotations, found none; run the stages index and detect again"
        )
    return np.asarray(person["keypoints"], dtype=np.float64), int(person["track_id"])


def _joints(slots: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return the 15 joints, image pixels, and their labels: 0 none, 1 occluded, 2 visible.

    A joint is unlabeled if its three numbers are 0 (poseval, convert.py). The visibility flag of an
    occluded joint is 0; PoseTrack uses several positive values for visible joints.
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
    """Return the transform of all frames and joints of a clip, ``(2, 3)``."""
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
    """Return the joints in crop pixels, ``(15, 2)``, and their visibility there, ``(15,)``."""
    in_crop = np.where(labels[:, None] > 0, transform(keypoints, to_crop), 0)
    if flip:
        in_crop, labels = in_crop[FLIP], labels[FLIP]
    height, width = settings.crop_size
    inside = ((in_crop >= 0) & (in_crop <= (width - 1, height - 1))).all(axis=1)
    return in_crop, np.where(inside, labels, 0).astype(np.int8)
