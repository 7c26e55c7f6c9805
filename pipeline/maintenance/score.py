"""Score a folder of predictions against a folder of ground truth."""

from pathlib import Path
from typing import Any

from pipeline.evaluation.metrics.oks import oks_ap
from pipeline.evaluation.metrics.posetrack_ap import match, score
from pipeline.evaluation.metrics.posetrack_pool import Protocol, pool, read_pairs


def score_folders(
    truth: Path, predicted: Path, protocol: Protocol, *, oks: bool = True
) -> dict[str, Any]:
    """Return PoseTrack AP and OKS AP of all videos of a folder.

    Args:
        truth: Folder of ground-truth files, one per video.
        predicted: Folder of prediction files of the same names.
        protocol: Official tool whose rules apply, ``poseval`` or ``posetrack21``.
        oks: Whether to also compute OKS AP.

    Returns:
        The keys of ``pipeline.evaluation.metrics.posetrack_ap.score``, and ``oks``: AP, AP50, AP75
        and AR in percent, or None if it is not computed or the ground truth has no person boxes.

    Raises:
        ValueError: If a file is missing or malformed, or frames do not agree.
    """
    pairs = read_pairs(truth, predicted)
    values = score(match(pool(pairs, protocol)))
    return values | {"oks": oks_ap(pairs) if oks else None}
