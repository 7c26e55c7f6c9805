"""Evaluate one system on one split: scores, acceleration, subsets, curves and kinds of error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.posetrack.annotations import person_boxes
from pipeline.core.skeleton import GROUPS, JOINT_SLOTS, JOINTS
from pipeline.evaluation.metrics.acceleration import acceleration
from pipeline.evaluation.metrics.crowd import crowd_index, hardest
from pipeline.evaluation.metrics.error_kinds import KINDS, count_errors
from pipeline.evaluation.metrics.oks import oks_ap
from pipeline.evaluation.metrics.posetrack_ap import Curve, Matches, curves, match, score
from pipeline.evaluation.metrics.posetrack_pool import Pool, Protocol, VideoPair, pool

DECIMALS = 4
"""Number of decimals of a percentage or an acceleration in the metric files."""


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Results of one system on one split."""

    metrics: dict[str, Any]
    """Scores of all frames, as JSON values."""
    hard: dict[str, Any]
    """Scores of the hard subset."""
    curves: pd.DataFrame
    """Columns ``joint``, ``recall``, ``precision``, ``score``."""
    videos: pd.DataFrame
    """Columns ``video``, ``n_frames_used``, ``n_gt``, the groups and ``Mean`` in percent."""
    errors: pd.DataFrame
    """Columns ``joint``, ``kind``, ``count`` and ``share`` of the labels of the joint."""


def evaluate_split(
    pairs: Sequence[VideoPair], protocol: Protocol, *, hard_share: float, curve_points: int
) -> SplitResult:
    """Evaluate one system on one split.

    Args:
        pairs: The videos. Without videos, every AP is None.
        protocol: Rules of the evaluation.
        hard_share: Share of the scored frames that form the hard subset: those with the highest
            crowd index.
        curve_points: Maximum number of points of a curve.
    """
    pooled = pool(pairs, protocol)
    matches = match(pooled)
    hard = hard_frames(pairs, pooled, hard_share)
    metrics = score(matches) | {"oks": oks_ap(pairs), "acceleration": acceleration(matches)}
    tags = [tag for pair in pairs for tag in pair.truth.tags]
    if any(tags):
        metrics |= _degraded(matches, np.array(tags))
    return SplitResult(
        metrics=_rounded(metrics),
        hard=_rounded(score(matches, hard) | {"oks": oks_ap(pairs, hard)}),
        curves=_curve_table(curves(matches), curve_points),
        videos=_video_table(matches),
        errors=_error_table(pairs, pooled),
    )


def hard_frames(pairs: Sequence[VideoPair], pooled: Pool, share: float) -> NDArray[np.bool_]:
    """Select the scored frames with the highest crowd index of the ground truth.

    Args:
        pairs: The videos.
        pooled: The same videos, pooled.
        share: Share of the scored frames, within [0, 1].

    Returns:
        Mask over all frames, ``(F,)``.
    """
    index = np.zeros(len(pooled.used))
    first = 0
    for pair in pairs:
        people = pair.truth.people
        boxes = person_boxes(people)
        for entry in np.unique(people.frame):
            rows = people.frame == entry
            index[first + entry] = crowd_index(
                boxes[rows],
                people.keypoints[rows][:, JOINT_SLOTS, :2],
                people.present[rows][:, JOINT_SLOTS],
            )
        first += len(pair.truth.file_names)
    chosen = np.zeros(len(index), dtype=bool)
    candidates = np.flatnonzero(pooled.used)
    chosen[candidates[hardest(index[candidates], share)]] = True
    return chosen


def _degraded(matches: Matches, tags: NDArray[np.str_]) -> dict[str, Any]:
    """Score the frames of each degradation, the visible joints and the occluded joints."""
    truth = matches.pool.truth
    by_tag = {str(tag): score(matches, tags == tag) for tag in np.unique(tags) if tag}
    return {
        "tags": {tag: _summary(values) for tag, values in by_tag.items()},
        "visible": _summary(score(matches, joints=truth.visible)),
        "occluded": _summary(score(matches, joints=~truth.visible)),
    }


def _summary(values: dict[str, Any]) -> dict[str, Any]:
    counts = {"n_gt": sum(values["n_gt"]), "n_frames_used": values["n_frames_used"]}
    return {key: values[key] for key in ("groups", "ap_total")} | counts


def _rounded(value: Any) -> Any:  # noqa: ANN401
    """Round every float in nested dicts and lists, so that the files in git stay short."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def _curve_table(ranked: Sequence[Curve], points: int) -> pd.DataFrame:
    parts = []
    for joint, curve in zip(JOINTS, ranked, strict=True):
        # A joint without ground truth has no recall and therefore no curve.
        ranks = len(curve.scores) if curve.n_gt else 0
        kept = np.unique(np.linspace(0, ranks - 1, min(points, ranks)).round().astype(np.int64))
        columns = {
            "recall": curve.recall[kept],
            "precision": curve.precision[kept],
            "score": curve.scores[kept],
        }
        parts.append(pd.DataFrame({"joint": [joint] * len(kept)} | columns))
    return pd.concat(parts, ignore_index=True)


def _video_table(matches: Matches) -> pd.DataFrame:
    columns = ["video", "n_frames_used", "n_gt", *GROUPS, "Mean"]
    rows = []
    for video, name in enumerate(matches.pool.names):
        values = score(matches, matches.pool.video == video)
        groups = {group: np.nan if ap is None else ap for group, ap in values["groups"].items()}
        counts = {"n_frames_used": values["n_frames_used"], "n_gt": sum(values["n_gt"])}
        rows.append({"video": name} | counts | groups)
    kinds = dict.fromkeys(columns, "float64")
    kinds |= {"video": "str", "n_frames_used": "int64", "n_gt": "int64"}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def _error_table(pairs: Sequence[VideoPair], pooled: Pool) -> pd.DataFrame:
    used = [pooled.used[pooled.video == video] for video in range(len(pairs))]
    counts = count_errors(pairs, used)
    labels = counts.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "joint": np.repeat(JOINTS, len(KINDS)),
            "kind": np.tile(KINDS, len(JOINTS)),
            "count": counts.ravel(),
            "share": (counts / np.maximum(labels, 1)).ravel(),
        }
    )
