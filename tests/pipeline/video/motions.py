"""Motions of people whose labels are known in every frame: real ones, or those of the renderer."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.skeleton import JOINT_SLOTS, JOINTS
from pipeline.synthetic.dataset import video_specs
from pipeline.synthetic.figures import POINT
from pipeline.synthetic.scene import build_scene


class Motion(NamedTuple):
    """People of one video over time."""

    joints: NDArray[np.float64]
    """xy in pixels, ``(P, T, 15, 2)``."""
    labeled: NDArray[np.bool_]
    """``(P, T, 15)``."""
    head: NDArray[np.float64]
    """Head sizes in pixels as PoseTrack measures them, ``(P, T)``; 0 without a head box."""


def rendered_motions(videos: int, frames: int) -> Iterator[Motion]:
    """Yield motions of the renderer, which is calibrated to real motion."""
    points = [POINT[name] for name in JOINTS]
    for spec in video_specs("tests", videos, frames=frames):
        stances = build_scene(spec).stances
        joints = np.stack([stance.points[:, points] for stance in stances])
        head = np.stack([np.broadcast_to(stance.scale, (frames,)) for stance in stances])
        yield Motion(joints, np.ones(joints.shape[:3], bool), head)


def real_motions(shared: Path, videos: int, frames: int) -> Iterator[Motion]:
    """Yield the labels of real videos, in which every frame is labeled."""
    archive = np.load(shared / "real/bonn_multiperson_posetrack/annotations_all60.npz")
    names = sorted(name.removesuffix("/keypoints") for name in archive if name.endswith("points"))
    for name in names[:: len(names) // videos][:videos]:
        keypoints = archive[f"{name}/keypoints"][:, :frames, JOINT_SLOTS].astype(np.float64)
        corners = archive[f"{name}/head_rect"][:, :frames].astype(np.float64)
        sides = corners[..., 2:] - corners[..., :2]
        head = 0.6 * np.hypot(sides[..., 0], sides[..., 1])
        labeled = (keypoints[..., 2] > 0) & (head > 0)[..., None]
        yield Motion(keypoints[..., :2], labeled, head)
