"""Score predictions against ground truth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.posetrack.annotations import empty_head_warning
from pipeline.evaluation.metrics.acceleration import acceleration
from pipeline.evaluation.metrics.oks import oks_ap
from pipeline.evaluation.metrics.posetrack_ap import match, score
from pipeline.evaluation.metrics.posetrack_pool import Protocol, VideoPair, pool, read_pairs


def _drop(_message: str) -> None:
    pass


def score_folders(
    truth: Path,
    predicted: Path,
    protocol: Protocol,
    *,
    oks: bool = True,
    warn: Callable[[str], None] = _drop,
) -> dict[str, Any]:
    """Return the scores of all videos of a folder.

    Args:
        truth: Folder of ground-truth files, one per video.
        predicted: Folder of prediction files of the same names.
        protocol: As in ``score_pairs``.
        oks: As in ``score_pairs``.
        warn: As in ``score_pairs``.

    Raises:
        ValueError: If a file is missing or malformed, or frames do not agree.
    """
    return score_pairs(read_pairs(truth, predicted), protocol, oks=oks, warn=warn)


def score_pairs(
    pairs: Sequence[VideoPair],
    protocol: Protocol,
    *,
    oks: bool = True,
    warn: Callable[[str], None] = _drop,
) -> dict[str, Any]:
    """Return PoseTrack AP, OKS AP and the acceleration error of all videos.

    Args:
        pairs: The videos.
        protocol: Official tool whose rules apply, ``poseval`` or ``posetrack21``.
        oks: Whether to also compute OKS AP.
        warn: Called with a message for every ground-truth file with people who cannot be matched;
            by default the messages are dropped.

    Returns:
        The keys of ``pipeline.evaluation.metrics.posetrack_ap.score``; ``oks``: AP, AP50, AP75
        and AR in percent, or None if it is not computed or the ground truth has no person boxes;
        and ``acceleration``, as ``pipeline.evaluation.metrics.acceleration`` returns it.

    Raises:
        ValueError: If frames do not agree.
    """
    for pair in pairs:
        if message := empty_head_warning(pair.truth):
            warn(message)
    matches = match(pool(pairs, protocol))
    further = {"oks": oks_ap(pairs) if oks else None, "acceleration": acceleration(matches)}
    return score(matches) | further
