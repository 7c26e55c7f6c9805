"""Deterministic splits of videos by name: cross-validation folds and the held-out share."""

import hashlib
from collections.abc import Iterable


def video_share(video: str) -> float:
    """Hash the name of a video to a number that is uniformly distributed in [0, 1)."""
    digest = hashlib.sha256(video.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign_folds(videos: Iterable[str], folds: int) -> dict[str, int]:
    """Return the fold of every video. The fold depends only on the name of the video.

    Args:
        videos: Names of the videos.
        folds: Number of folds.

    Raises:
        ValueError: If a fold gets no video.
    """
    assigned = {video: int(video_share(video) * folds) for video in sorted(set(videos))}
    if missing := set(range(folds)) - set(assigned.values()):
        raise ValueError(
            f"finetune_backbone.folds: expected videos in each of {folds} folds, the "
            f"{len(assigned)} train videos leave {sorted(missing)} empty; lower it"
        )
    return assigned
