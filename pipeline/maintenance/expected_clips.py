"""How many clips a data set gives, from its files or, where they are absent, from publications."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.posetrack.reader import read_annotations
from pipeline.synthetic.dataset import VideoSpec

TRAIN_LABELS, VAL_LABELS = 30.0, 53.0
"""Labeled frames per video of PoseTrack: 30 in the middle, and on val also every fourth of about
121 others (Andriluka et al., CVPR 2018: 66,374 frames in 550 videos)."""
POSES_PER_FRAME = 153_615 / 23_000
"""People per labeled frame, from the totals of the same paper."""
PUBLISHED = {
    "posetrack17": (250, 50, 80_144),
    "posetrack18": (593, 170, 153_615),
    "posetrack21": (593, 170, 177_164),
}
"""Number of train videos, val videos and labeled people of both (JM-Pose Sec. 4.1)."""


@dataclass(frozen=True, slots=True)
class SplitCount:
    """The size of one split."""

    videos: int
    labeled: float
    """Labeled frames."""
    people: float
    """People with joints on labeled frames, which is the number of clips of variant 0."""
    source: str


def published_counts(name: str) -> dict[str, SplitCount]:
    """Return the sizes of both splits of a PoseTrack data set from published numbers.

    The papers give the sum of labeled people over train and val; it is divided in proportion to the
    labeled frames.

    Args:
        name: ``posetrack17``, ``posetrack18`` or ``posetrack21``.

    Raises:
        ValueError: If no numbers are published for the data set.
    """
    if name not in PUBLISHED:
        raise ValueError(
            f"data set {name!r}: expected annotation files, or one of {sorted(PUBLISHED)}, whose "
            "sizes are published; import the data set first: posereel use-preset"
        )
    train, val, poses = PUBLISHED[name]
    frames = {"train": train * TRAIN_LABELS, "val": val * VAL_LABELS}
    total = sum(frames.values())
    return {
        split: SplitCount(
            videos, poses / POSES_PER_FRAME * share, poses * share, "published totals, about"
        )
        for split, videos, share in (
            ("train", train, frames["train"] / total),
            ("val", val, frames["val"] / total),
        )
    }


def counts_of_files(folder: Path) -> dict[str, SplitCount] | None:
    """Return the sizes of both splits from annotation files; None if there are none.

    Args:
        folder: Folder with ``train/*.json`` and ``val/*.json``.

    Raises:
        ValueError: If a file is malformed.
    """
    found = {split: sorted((folder / split).glob("*.json")) for split in ("train", "val")}
    if not any(found.values()):
        return None
    counts = {}
    for split, files in found.items():
        frames = people = 0
        for file in files:
            read = read_annotations(file)
            frames += int((read.labeled | read.has_people).sum())
            people += int(read.people.present.any(axis=1).sum())
        counts[split] = SplitCount(len(files), frames, people, "annotation files")
    return counts


def counts_of_specs(
    specs: dict[str, tuple[VideoSpec, ...]], people_per_frame: float
) -> dict[str, SplitCount]:
    """Return the estimated sizes of both splits of a data set before it is rendered.

    Args:
        specs: Videos of both splits.
        people_per_frame: Mean number of people per labeled frame, from rendered videos.
    """
    counts = {}
    for split, videos in specs.items():
        frames = sum(video.labeled(frame) for video in videos for frame in range(video.frames))
        people = frames * people_per_frame
        counts[split] = SplitCount(len(videos), frames, people, "some rendered videos, about")
    return counts
