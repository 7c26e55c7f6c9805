"""Score prediction files against ground-truth files from Python."""

import warnings
from pathlib import Path
from typing import Any, get_args

from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.evaluation.metrics.posetrack_pool import Protocol, VideoPair, read_pairs
from pipeline.maintenance.score import score_pairs


def score(
    gt: str | Path, pred: str | Path, *, protocol: Protocol = "poseval", oks: bool = True
) -> dict[str, Any]:
    """Return PoseTrack AP, OKS AP and acceleration error of predictions; as ``posereel score``.

    Args:
        gt: Ground truth: a PoseTrack file, or a folder with one file per video.
        pred: Predictions: a file, or a folder with files of the same names. A file has one entry
            per frame of the ground truth, in the same order.
        protocol: Official tool whose rules apply: ``poseval`` for PoseTrack 2017 and 2018,
            ``posetrack21`` for PoseTrack21.
        oks: Whether to also compute OKS AP.

    Returns:
        Plain values, AP in percent: ``ap_total`` (mean over the joints), ``groups`` (seven groups
        and Mean), ``joint_ap``, counts, ``oks`` and ``acceleration``. None where nothing is scored.
        ``pipeline.maintenance.score.score_pairs`` lists all keys.

    Raises:
        ValueError: If a path or the protocol does not exist, a file is malformed, or the frames of
            both sides do not agree.
    """
    if protocol not in get_args(Protocol):
        raise ValueError(f"protocol: expected one of {get_args(Protocol)}, got {protocol!r}")
    truth, predicted = Path(gt), Path(pred)
    if truth.is_file() != predicted.is_file():
        raise ValueError(
            f"{truth}, {predicted}: expected two files or two folders, got one of each; a folder "
            "has one file per video"
        )
    if truth.is_file():
        pairs = [VideoPair(truth.stem, read_annotations(truth), read_predictions(predicted))]
    else:
        pairs = read_pairs(truth, predicted)
    return score_pairs(pairs, protocol, oks=oks, warn=_warn)


def _warn(message: str) -> None:
    # Level 4 is the line that calls `score`, behind this function and score_pairs.
    warnings.warn(message, stacklevel=4)
