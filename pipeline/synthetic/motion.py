"""Exact optical flow of a rendered video, from the maps of its layers.

A pixel belongs to the front-most part; the part's map at one frame, inverted, and its map at the
later one take the pixel along. Wrapped parts (head, torso, hips) also carry it round by their turn.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.painting import COVERED, PARTS_PER_PERSON, part_map
from pipeline.synthetic.parts import PARTS
from pipeline.synthetic.scene import Scene, build_scene

Array = NDArray[np.float64]


class ExactFlow(NamedTuple):
    """Motion from one frame to a later one.

    ``flow`` float32 ``(2, H, W)``: (dx, dy) in pixels. ``people`` int16 ``(H, W)``: the person's
    track id, -1 on background and props, and on people who have no labels. ``occluded``
    ``(H, W)``: what the pixel shows cannot be seen in the later frame, or the pixel shows a cover.
    """

    flow: NDArray[np.float32]
    people: NDArray[np.int16]
    occluded: NDArray[np.bool_]


def _square(matrix: Array) -> Array:
    return np.vstack([matrix, [0, 0, 1]])


def _carried(
    scene: Scene, label: int, frames: tuple[int, int], pixels: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Return where pixels ``(2, M)`` of a part go, and which turn out of sight."""
    seen = scene.stances[label // PARTS_PER_PERSON]
    frame, later = frames
    part = label % PARTS_PER_PERSON
    ones = np.ones((1, pixels.shape[1]))
    across, along, _ = np.linalg.inv(_square(seen.parts[frame, part])) @ np.vstack([pixels, ones])
    hidden = np.zeros(pixels.shape[1], np.bool_)
    if PARTS[part].wrapped:
        turn = seen.turns[frame, part] - seen.turns[later, part]
        theta = np.arcsin(np.clip(across, -1, 1)) + turn
        hidden = np.abs(theta) > np.pi / 2
        across = np.sin(np.clip(theta, -np.pi / 2, np.pi / 2))
    landed = seen.parts[later, part] @ np.vstack([across, along, ones])
    return np.asarray(landed), hidden


def exact_flow(video: VideoSpec | Scene, frame: int, gap: int = 1) -> ExactFlow:
    """Return the flow from a frame to the one ``gap`` frames later.

    Args:
        video: The spec, or the scene that ``build_scene`` made of it (cheaper for many frames).
        frame: Index of the first of the two frames.
        gap: Frames between the two.

    Raises:
        ValueError: If there is no such later frame.
    """
    scene = build_scene(video) if isinstance(video, VideoSpec) else video
    spec = scene.spec
    later = frame + gap
    if gap < 1 or not 0 <= frame < later < spec.frames:
        raise ValueError(
            f"exact flow of {spec.name}: expected a gap of at least 1 and a frame within "
            f"0..{spec.frames - 1 - gap}, got {frame} and a gap of {gap}"
        )
    first, second = part_map(scene, frame)[1], part_map(scene, later)[1]
    before, after = scene.camera.matrices(np.array([frame, later], np.float64))
    y, x = np.mgrid[0 : spec.height, 0 : spec.width].astype(np.float64)
    grid = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    landed = after @ (np.linalg.inv(_square(before)) @ grid)
    labels = first.ravel()
    hidden = labels == COVERED
    for label in np.unique(labels[labels >= 0]).tolist():
        chosen = np.flatnonzero(labels == label)
        landed[:, chosen], hidden[chosen] = _carried(scene, label, (frame, later), grid[:2, chosen])
    column, row = np.round(landed).astype(np.int64)
    inside = (column >= 0) & (column < spec.width) & (row >= 0) & (row < spec.height)
    there = second[np.clip(row, 0, spec.height - 1), np.clip(column, 0, spec.width - 1)]
    people = np.where(first >= 0, first // PARTS_PER_PERSON, -1)
    people[people >= scene.labeled] = -1
    return ExactFlow(
        flow=(landed - grid[:2]).reshape(2, spec.height, spec.width).astype(np.float32),
        people=people.astype(np.int16),
        occluded=(hidden | ~inside | (there != labels)).reshape(spec.height, spec.width),
    )
