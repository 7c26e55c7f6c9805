"""Pairs of crops of one person with the exact flow between them, drawn from rendered scenes.

Both crops of a pair share one transform, as all frames of a clip do in the pipeline; flow is
moved into the crop with it, its vectors turned and scaled by the linear part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.geometry.affine import inverse
from pretrain.crops import Crops, augmented_matrix, passes, plain_matrix, warp
from pretrain.scenes import Scenes, read_scenes

UNSHAKEN = 0.3
"""Share of the training pairs that keep one transform for both frames."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """B pairs of crops.

    Attributes:
        first: RGB uint8, ``(B, 3, H, W)``.
        second: The next frame's, likewise.
        flow: (dx, dy) in crop pixels from first to second, ``(B, 2, H, W)``.
        people: Pixels of labeled people in the first, ``(B, H, W)``.
        in_sight: Pixels of the first that the second still shows, ``(B, H, W)``.
    """

    first: Tensor
    second: Tensor
    flow: Tensor
    people: Tensor
    in_sight: Tensor


@dataclass(frozen=True, slots=True)
class MovingScenes:
    """Scenes with the flow between consecutive frames of a video (``write_scenes``)."""

    scenes: Scenes
    flow: NDArray[np.float16]
    moving: NDArray[np.uint8]

    @property
    def first_people(self) -> NDArray[np.intp]:
        """Rows of the people in frames that have a next one, ``(M,)``."""
        length = self.flow.shape[1] + 1
        return np.flatnonzero(self.scenes.frame % length < length - 1)


def read_moving_scenes(folder: Path) -> MovingScenes:
    """Open a folder of scenes that was rendered with flow."""
    return MovingScenes(
        read_scenes(folder),
        np.load(folder / "flow.npy", mmap_mode="r"),
        np.load(folder / "moving.npy", mmap_mode="r"),
    )


def crop_flow(
    flow: NDArray[np.floating[Any]],
    to_crop: NDArray[np.float64],
    size: tuple[int, int],
    to_second: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Return the flow of a crop, ``(2, h, w)``, from that of its frame, ``(2, H, W)``.

    A crop's vector is the frame's at the nearest pixel, in crop pixels. Beyond the frame the
    border's motion goes on.

    Args:
        flow: (dx, dy) in the frame's pixels.
        to_crop: Matrix from the frame to the first crop, ``(2, 3)``.
        size: Height and width of the crops.
        to_second: Matrix to the second crop; the first's where absent.
    """
    planes = np.asarray(flow, np.float32).transpose(1, 2, 0)
    there = cv2.warpAffine(
        planes,
        to_crop,
        (size[1], size[0]),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REPLICATE,
    )
    second = to_crop if to_second is None else to_second
    turned = there @ second[:, :2].T.astype(np.float32)
    # The camera's part: where the second crop shows what the first shows at each pixel.
    between = (_after(second, inverse(to_crop)) - np.eye(2, 3)).astype(np.float32)
    y, x = np.indices(size, np.float32)
    moved = np.stack([x, y, np.ones_like(x)], axis=-1) @ between.T
    return np.asarray((turned + moved).transpose(2, 0, 1), np.float32)


def crop_pair(
    moving: MovingScenes,
    person: int,
    to_crop: NDArray[np.float64],
    size: tuple[int, int],
    to_second: NDArray[np.float64] | None = None,
) -> tuple[NDArray[Any], ...]:
    """Return first, second, flow and moving of one person's pair of crops."""
    frame = int(moving.scenes.frame[person])
    at = divmod(frame, moving.flow.shape[1] + 1)
    matrices = (to_crop, to_crop if to_second is None else to_second)
    images = [
        warp(moving.scenes.frames[frame + i], matrix, size).transpose(2, 0, 1)
        for i, matrix in enumerate(matrices)
    ]
    flags = cv2.warpAffine(moving.moving[at], to_crop, (size[1], size[0]), flags=cv2.INTER_NEAREST)
    return *images, crop_flow(moving.flow[at], to_crop, size, to_second), flags


def _stack(pairs: list[tuple[NDArray[Any], ...]]) -> Pairs:
    first, second, flow, flags = (
        torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True)
    )
    return Pairs(first, second, flow, (flags & 1) > 0, (flags & 2) > 0)


def _after(second: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix ``(2, 3)`` that applies ``first`` and then ``second``."""
    whole: NDArray[np.float64] = second @ np.vstack([first, [0.0, 0.0, 1.0]])
    return whole


def shaken(
    to_crop: NDArray[np.float64], params: Crops, draws: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the matrix of the second crop: the first's, turned, scaled and moved at random.

    People move by a pixel or two between frames, too little for a network that starts from
    nothing to find out that it shall match: without this it stayed at zero flow. Three of ten
    pairs keep the one transform that clips have.
    """
    random = np.random.default_rng((params.augment.seed, *draws, 1))
    if random.random() < UNSHAKEN:
        return to_crop
    turn, scale = np.radians(random.uniform(-6, 6)), random.uniform(0.94, 1.06)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    center = (np.array(params.size[::-1]) - 1) / 2
    reach = random.choice([2.0, 6.0, 14.0])
    shift = center - linear @ center + random.uniform(-reach, reach, 2)
    return _after(np.column_stack([linear, shift]), to_crop)


def training_pairs(moving: MovingScenes, params: Crops, batch: int) -> Iterator[Pairs]:
    """Yield augmented pairs without end."""
    people = moving.first_people
    order = passes([len(people)], params.augment.seed)
    while True:
        pairs = []
        for _ in range(batch):
            _, row, number = next(order)
            person = int(people[row])
            to_crop, _ = augmented_matrix(moving.scenes, person, params, (0, number))
            to_second = shaken(to_crop, params, (person, number))
            pairs.append(crop_pair(moving, person, to_crop, params.size, to_second))
        yield _stack(pairs)


def held_out_pairs(moving: MovingScenes, params: Crops, count: int, batch: int) -> Iterator[Pairs]:
    """Yield every ``count``-th part of the pairs, cut as the pipeline cuts them."""
    people = moving.first_people
    chosen = people[np.linspace(0, len(people) - 1, min(count, len(people))).astype(int)]
    for start in range(0, len(chosen), batch):
        matrices = [
            (int(p), plain_matrix(moving.scenes.boxes[p], params))
            for p in chosen[start : start + batch]
        ]
        yield _stack([crop_pair(moving, p, to_crop, params.size) for p, to_crop in matrices])
