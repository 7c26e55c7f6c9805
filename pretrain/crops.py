"""Crops of people with their target heatmaps, drawn without end from rendered scenes.

The crop, its augmentation and the heatmaps are the pipeline's own, so that the backbones learn
exactly the pictures that they are later shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pipeline.clips.augment import Augment, augmented_region, sample_augmentation
from pipeline.core.geometry.affine import crop_matrix, mirror, transform
from pipeline.core.geometry.boxes import crop_region
from pipeline.core.grid import grid_size
from pipeline.core.heatmap import encode
from pipeline.core.params import Section
from pipeline.core.skeleton import FLIP
from pretrain.scenes import Scenes


class Crops(Section):
    """Params of the crops."""

    input_size: Annotated[list[int], Field(min_length=2, max_length=2)]
    """Height and width, pixels."""
    enlarge: Annotated[float, Field(gt=0)]
    """Factor on the box after the aspect fix."""
    sigma: Annotated[float, Field(gt=0)]
    """Standard deviation of the target Gaussians, cells."""
    shift: Annotated[float, Field(ge=0)]
    """Standard deviation of a shift, in sides of the region: detected boxes are not exact."""
    augment: Augment
    """Rotation, scale, half body and flip."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a crop in pixels."""
        return self.input_size[0], self.input_size[1]


def warp(
    frame: NDArray[np.uint8], to_crop: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the crop ``(h, w, 3)`` of a frame, bilinear, black beyond the frame."""
    crop = cv2.warpAffine(frame, to_crop, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


def plain_matrix(box_xywh: NDArray[np.float64], params: Crops) -> NDArray[np.float64]:
    """Return the matrix of a box's crop as the pipeline cuts it, without augmentation."""
    return crop_matrix(crop_region(box_xywh, params.size, params.enlarge), params.size, 0.0)


def augmented_matrix(
    scenes: Scenes, person: int, params: Crops, draws: tuple[int, int]
) -> tuple[NDArray[np.float64], bool]:
    """Return the matrix of one augmented crop, and whether it mirrors the person.

    Args:
        scenes: Scenes.
        person: Row of the person.
        params: Params of the crops.
        draws: Number of the scenes and of the pass, so that every pass has draws of its own.
    """
    augmentation = sample_augmentation(params.augment, f"{draws[0]}/{person}", draws[1] + 1)
    region = crop_region(scenes.boxes[person], params.size, params.enlarge)
    region = augmented_region(
        region, augmentation, scenes.keypoints[person], scenes.visible[person] > 0
    )
    random = np.random.default_rng((params.augment.seed, *draws, person))
    dx, dy = random.normal(0, params.shift, 2) * (region.width, region.height)
    region = replace(region, center=(region.center[0] + dx, region.center[1] + dy))
    to_crop = crop_matrix(region, params.size, augmentation.rotation)
    return (mirror(to_crop, params.size[1]) if augmentation.flip else to_crop), augmentation.flip


def labels_in_crop(
    scenes: Scenes, person: int, to_crop: NDArray[np.float64], flip: bool, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return joints in crop pixels ``(15, 2)`` and visibility ``(15,)``, 0 beyond the crop."""
    keypoints, visible = transform(scenes.keypoints[person], to_crop), scenes.visible[person]
    if flip:
        keypoints, visible = keypoints[FLIP], visible[FLIP]
    limits = np.array([size[1] - 1, size[0] - 1])
    inside = ((keypoints >= 0) & (keypoints <= limits)).all(axis=1)
    return keypoints, np.where(inside, visible, 0).astype(np.int8)


def passes(lengths: Sequence[int], seed: int) -> Iterator[tuple[int, int, int]]:
    """Yield (scenes, row, pass) without end: every row once per pass, in an order of its own."""
    pairs = [(which, row) for which, length in enumerate(lengths) for row in range(length)]
    number = 0
    while True:
        for index in np.random.default_rng((seed, number)).permutation(len(pairs)):
            which, row = pairs[index]
            yield which, row, number
        number += 1


Batch = tuple[Tensor, Tensor]


def batches(scenes: Sequence[Scenes], params: Crops, batch: int) -> Iterator[Batch]:
    """Yield augmented crops with their targets, without end.

    Yields:
        Images ``(B, 3, H, W)``, float in [0, 1], and target heatmaps ``(B, 15, H / 4, W / 4)``,
        also of hidden joints. A joint outside the crop has an empty target: rendered labels are
        complete, so that its absence is known.
    """
    height, width = params.size
    order = passes([len(part.frame) for part in scenes], params.augment.seed)
    while True:
        images = np.empty((batch, height, width, 3), np.uint8)
        targets = np.empty((batch, 15, *grid_size(params.size)), np.float32)
        for slot in range(batch):
            which, person, number = next(order)
            part = scenes[which]
            to_crop, flip = augmented_matrix(part, person, params, (which, number))
            images[slot] = warp(part.frames[part.frame[person]], to_crop, params.size)
            keypoints, visible = labels_in_crop(part, person, to_crop, flip, params.size)
            targets[slot] = encode(keypoints, visible, targets.shape[2:], params.sigma)
        yield to_images(images), torch.from_numpy(targets)


def to_images(crops: NDArray[np.uint8]) -> Tensor:
    """Return crops ``(B, H, W, 3)`` as float images ``(B, 3, H, W)`` in [0, 1]."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float().div(255)
