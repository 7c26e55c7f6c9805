"""How people move, hide and are built in real video, and the same figures of rendered ones.

The figures were taken from 60 annotated sequences of PoseTrack's forerunner (Iqbal, Milan and
Gall, CVPR 2017): 3,092 frames, 14,574 people. Lengths are in head sizes, 0.6 x the diagonal of
the head box. Motion is measured between frames that are a gap apart: consecutive ones, or every
third.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.rendering import SyntheticVideo

Array = NDArray[np.float64]

_JOINTS = {
    "head": ("head_bottom", "head_top"),
    "shoulder": ("left_shoulder", "right_shoulder"),
    "elbow": ("left_elbow", "right_elbow"),
    "wrist": ("left_wrist", "right_wrist"),
    "hip": ("left_hip", "right_hip"),
    "knee": ("left_knee", "right_knee"),
    "ankle": ("left_ankle", "right_ankle"),
}
_BONES = {
    "crown": (("head_bottom", "head_top"),),
    "upper_arm": (("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow")),
    "lower_arm": (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")),
    "shoulders": (("left_shoulder", "right_shoulder"),),
    "hips": (("left_hip", "right_hip"),),
    "torso": (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
    "thigh": (("left_hip", "left_knee"), ("right_hip", "right_knee")),
    "shank": (("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
}
_TURNING = ("upper_arm", "lower_arm", "thigh", "shank")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a set of videos.

    ``motion``: joint to (median, 95th percentile) of head sizes per gap. ``occluded``: joint to
    the share that is hidden, of those in the picture. ``bones``: bone to its median length in the
    picture. ``turning``: limb to (median, 95th percentile) of degrees per gap. ``people``:
    (median, 95th percentile) of labeled people per frame that has any.
    """

    motion: dict[str, tuple[float, float]]
    occluded: dict[str, float]
    bones: dict[str, float]
    turning: dict[str, tuple[float, float]]
    people: tuple[float, float]


REAL = Figures(
    motion={
        "head": (0.105, 0.50),
        "shoulder": (0.108, 0.49),
        "elbow": (0.13, 0.63),
        "wrist": (0.147, 0.80),
        "hip": (0.10, 0.52),
        "knee": (0.114, 0.60),
        "ankle": (0.108, 0.68),
    },
    occluded={
        "head": 0.09,
        "shoulder": 0.19,
        "elbow": 0.27,
        "wrist": 0.30,
        "hip": 0.27,
        "knee": 0.23,
        "ankle": 0.25,
    },
    bones={
        "crown": 1.33,
        "upper_arm": 1.33,
        "lower_arm": 1.11,
        "shoulders": 1.63,
        "hips": 1.05,
        "torso": 2.51,
        "thigh": 2.08,
        "shank": 1.96,
    },
    turning={
        "upper_arm": (1.6, 14.0),
        "lower_arm": (2.1, 23.0),
        "thigh": (1.1, 10.0),
        "shank": (1.3, 11.0),
    },
    people=(4.0, 11.0),
)


REAL_GAP_3 = replace(
    REAL,
    motion={
        "head": (0.280, 1.205),
        "shoulder": (0.284, 1.223),
        "elbow": (0.333, 1.485),
        "wrist": (0.403, 1.991),
        "hip": (0.261, 1.229),
        "knee": (0.286, 1.359),
        "ankle": (0.271, 1.626),
    },
    turning={
        "upper_arm": (3.8, 32.5),
        "lower_arm": (5.3, 57.9),
        "thigh": (2.7, 19.7),
        "shank": (3.0, 24.7),
    },
)
"""The same sequences at a stride of three frames."""


def _spread(values: list[Array]) -> tuple[float, float]:
    """Return median and 95th percentile."""
    median, high = np.percentile(np.concatenate(values), (50, 95))
    return float(median), float(high)


class _Tracks:
    """Joints of one video's people, and the head size of each."""

    def __init__(self, video: SyntheticVideo, gap: int) -> None:
        self.gap = gap
        self.keypoints = video.keypoints
        self.visible = video.visible * video.present[..., None]
        heads = 0.6 * np.hypot(video.head_boxes[..., 2], video.head_boxes[..., 3])
        self.head = np.where(video.present, heads, np.nan)

    def motion(self, name: str) -> Array:
        """Return head sizes per gap of a joint wherever both frames have it."""
        slot, gap = SLOTS.index(name), self.gap
        both = (self.visible[gap:, :, slot] > 0) & (self.visible[:-gap, :, slot] > 0)
        places = self.keypoints[:, :, slot]
        steps = np.linalg.norm(places[gap:] - places[:-gap], axis=-1)
        return np.asarray((steps / self.head[:-gap])[both])

    def hidden(self, name: str) -> Array:
        """Return 1 where a joint in the picture is hidden, else 0."""
        flags = self.visible[:, :, SLOTS.index(name)]
        return np.asarray(flags[flags > 0] == 1, np.float64)

    def bone(self, start: str, end: str) -> tuple[Array, Array]:
        """Return a bone's length in head sizes where it is in the picture, and its turning."""
        first, last = SLOTS.index(start), SLOTS.index(end)
        there = (self.visible[:, :, first] > 0) & (self.visible[:, :, last] > 0)
        bone = self.keypoints[:, :, last] - self.keypoints[:, :, first]
        angle = np.arctan2(bone[..., 1], bone[..., 0])
        gap = self.gap
        turn = np.abs((angle[gap:] - angle[:-gap] + np.pi) % (2 * np.pi) - np.pi)
        lengths = np.linalg.norm(bone, axis=-1) / self.head
        return lengths[there], np.degrees(turn[there[gap:] & there[:-gap]])


def measure(videos: Iterable[SyntheticVideo], gap: int = 1) -> Figures:
    """Return the figures of rendered videos, measured as those of the real ones were.

    Args:
        videos: Rendered videos of more than ``gap`` frames.
        gap: Frames between the two places of a joint whose motion is measured.
    """
    videos = list(videos)
    tracks = [_Tracks(video, gap) for video in videos]
    counts = np.concatenate([video.present.sum(axis=1) for video in videos]).astype(np.float64)
    bones = {
        bone: [track.bone(*ends) for track in tracks for ends in pairs]
        for bone, pairs in _BONES.items()
    }
    return Figures(
        motion={
            joint: _spread([track.motion(name) for track in tracks for name in names])
            for joint, names in _JOINTS.items()
        },
        occluded={
            joint: float(
                np.concatenate([track.hidden(name) for track in tracks for name in names]).mean()
            )
            for joint, names in _JOINTS.items()
        },
        bones={
            bone: float(np.median(np.concatenate([length for length, _ in found])))
            for bone, found in bones.items()
        },
        turning={limb: _spread([turn for _, turn in bones[limb]]) for limb in _TURNING},
        people=_spread([counts[counts > 0]]),
    )
