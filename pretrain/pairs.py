"""Pairs of crops of one person with the exact motion between them, drawn from rendered scenes.

Both crops of a pair share one transform, as all frames of a clip do in the pipeline; flow is
moved into the crop with it, its vectors turned and scaled by the linear part. The frames of a pair
are as far apart as the scenes' ``gaps`` say.
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

from pipeline.core.geometry.affine import inverse, transform
from pipeline.core.skeleton import FLIP
from pretrain.crops import Crops, augmented_matrix, labels_in_crop, passes, plain_matrix, warp
from pretrain.scenes import Scenes, read_scenes


@dataclass(frozen=True, slots=True)
class Pairs:
    """B pairs of crops.

    Attributes:
        first: RGB uint8, ``(B, 3, H, W)``.
        second: The later frame's, likewise.
        flow: (dx, dy) in crop pixels from first to second, ``(B, 2, H, W)``.
        people: Pixels of labeled people in the first, ``(B, H, W)``.
        in_sight: Pixels of the first that the second still shows, ``(B, H, W)``.
        joints: Joints of the crop's person in the first, crop pixels, ``(B, 15, 2)``.
        steps: (dx, dy) in crop pixels from each joint to its place in the second, ``(B, 15, 2)``.
        known: Joints that are in the first crop and in the later picture, seen or hidden,
            ``(B, 15)``.
    """

    first: Tensor
    second: Tensor
    flow: Tensor
    people: Tensor
    in_sight: Tensor
    joints: Tensor
    steps: Tensor
    known: Tensor


@dataclass(frozen=True, slots=True)
class MovingScenes:
    """Scenes with the flow from the first frames of a video to later ones (``write_scenes``)."""

    scenes: Scenes
    flow: NDArray[np.float16]
    moving: NDArray[np.uint8]
    gaps: NDArray[np.int32]

    @property
    def length(self) -> int:
        """Frames per video."""
        return len(self.scenes.frames) // len(self.flow)

    def people_of_gaps(self, gap: int | None = None) -> NDArray[np.intp]:
        """Return the rows of the people in frames that begin a pair, of one gap or of all."""
        place = self.scenes.frame % self.length
        begins = place < len(self.gaps)
        gaps = self.gaps[np.where(begins, place, 0)]
        return np.flatnonzero(begins & ((gaps == gap) | (gap is None)))

    def later_person(self, person: int, frame: int) -> int | None:
        """Return the row of the same person in another frame of the video, None if absent."""
        rows = self.scenes.people_of(frame)
        same = np.flatnonzero(self.scenes.track[rows] == self.scenes.track[person])
        return rows.start + int(same[0]) if len(same) else None


def read_moving_scenes(folder: Path) -> MovingScenes:
    """Open a folder of scenes that was rendered with flow."""
    return MovingScenes(
        read_scenes(folder),
        np.load(folder / "flow.npy", mmap_mode="r"),
        np.load(folder / "moving.npy", mmap_mode="r"),
        np.load(folder / "gaps.npy"),
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


@dataclass(frozen=True, slots=True)
class Cut:
    """How the two crops of a pair are cut.

    Attributes:
        to_first: Matrix from the frame to the first crop, ``(2, 3)``.
        to_second: Matrix from the later frame to the second crop; the same in a clip.
        flip: Whether the matrices mirror the person.
    """

    to_first: NDArray[np.float64]
    to_second: NDArray[np.float64]
    flip: bool = False


def crop_pair(
    moving: MovingScenes, person: int, cut: Cut, size: tuple[int, int]
) -> tuple[NDArray[Any], ...]:
    """Return first, second, flow, flags, joints, steps and known of one person's pair of crops."""
    frame = int(moving.scenes.frame[person])
    at = divmod(frame, moving.length)
    later = frame + int(moving.gaps[at[1]])
    images = [
        warp(moving.scenes.frames[index], matrix, size).transpose(2, 0, 1)
        for index, matrix in ((frame, cut.to_first), (later, cut.to_second))
    ]
    flags = cv2.warpAffine(
        moving.moving[at], cut.to_first, (size[1], size[0]), flags=cv2.INTER_NEAREST
    )
    flow = crop_flow(moving.flow[at], cut.to_first, size, cut.to_second)
    return *images, flow, flags, *_joint_steps(moving, person, later, cut, size)


def _joint_steps(
    moving: MovingScenes, person: int, later: int, cut: Cut, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return joints ``(15, 2)``, their steps ``(15, 2)`` and which are known ``(15,)``."""
    scenes = moving.scenes
    joints, seen = labels_in_crop(scenes, person, cut.to_first, cut.flip, size)
    after = moving.later_person(person, later)
    if after is None:
        return joints.astype(np.float32), np.zeros((15, 2), np.float32), np.zeros(15, np.bool_)
    landed = transform(scenes.keypoints[after], cut.to_second)
    there = scenes.visible[after]
    if cut.flip:
        landed, there = landed[FLIP], there[FLIP]
    known = (seen > 0) & (there > 0)
    return joints.astype(np.float32), (landed - joints).astype(np.float32), known


def _stack(pairs: list[tuple[NDArray[Any], ...]]) -> Pairs:
    first, second, flow, flags, joints, steps, known = (
        torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True)
    )
    people, in_sight = (flags & 1) > 0, (flags & 2) > 0
    return Pairs(first, second, flow, people, in_sight, joints, steps, known)


def _after(second: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix ``(2, 3)`` that applies ``first`` and then ``second``."""
    composed: NDArray[np.float64] = second @ np.vstack([first, [0.0, 0.0, 1.0]])
    return composed


def shaken(
    to_crop: NDArray[np.float64], params: Crops, draws: tuple[int, int], share: float
) -> NDArray[np.float64]:
    """Return the matrix of the second crop: the first's, in a share of the pairs moved at random.

    People move by a pixel or two between consecutive frames, too little for a network with random
    weights to learn matching: without this augmentation it stayed at zero flow.

    Args:
        to_crop: Matrix of the first crop, ``(2, 3)``.
        params: Params of the crops.
        draws: Row of the person and number of the pass.
        share: Share of the pairs whose second crop is turned, scaled and moved.
    """
    random = np.random.default_rng((params.augment.seed, *draws, 1))
    if random.random() >= share:
        return to_crop
    turn, scale = np.radians(random.uniform(-6, 6)), random.uniform(0.94, 1.06)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    center = (np.array(params.size[::-1]) - 1) / 2
    reach = random.choice([2.0, 6.0, 14.0])
    shift = center - linear @ center + random.uniform(-reach, reach, 2)
    return _after(np.column_stack([linear, shift]), to_crop)


def training_pairs(
    moving: MovingScenes, params: Crops, batch: int, shaken_share: float
) -> Iterator[Pairs]:
    """Yield augmented pairs without end."""
    people = moving.people_of_gaps()
    order = passes([len(people)], params.augment.seed)
    while True:
        pairs = []
        for _ in range(batch):
            _, row, number = next(order)
            person = int(people[row])
            to_first, flip = augmented_matrix(moving.scenes, person, params, (0, number))
            to_second = shaken(to_first, params, (person, number), shaken_share)
            pairs.append(crop_pair(moving, person, Cut(to_first, to_second, flip), params.size))
        yield _stack(pairs)


def held_out_pairs(
    moving: MovingScenes, params: Crops, count: int, batch: int, gap: int | None = None
) -> Iterator[Pairs]:
    """Yield ``count`` pairs, spread over those of one gap or of all, cut as the pipeline does."""
    people = moving.people_of_gaps(gap)
    chosen = people[np.linspace(0, len(people) - 1, min(count, len(people))).astype(int)]
    for start in range(0, len(chosen), batch):
        matrices = [
            (int(p), plain_matrix(moving.scenes.boxes[p], params))
            for p in chosen[start : start + batch]
        ]
        yield _stack([crop_pair(moving, p, Cut(m, m), params.size) for p, m in matrices])
