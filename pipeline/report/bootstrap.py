"""Confidence interval of the difference between two systems: a paired bootstrap over videos.

Frames of one video are correlated, so the bootstrap resamples whole videos with replacement, the
same ones for both systems, and computes the pooled PoseTrack AP of every resample.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics.posetrack_ap import Matches
from pipeline.report.run_results import Comparisons

DRAWS = 1000
SEED = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference between the mean AP of two systems, in points."""

    mean: float
    """Over all videos."""
    interval: tuple[float, float] | None
    """Ends of the 95 % interval; None where there are fewer than two videos to resample."""


def draw_videos(videos: int, draws: int = DRAWS, seed: int = SEED) -> NDArray[np.int32]:
    """Return how often each resample contains each video, ``(draws, videos)``."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, max(videos, 1), size=(draws, videos))
    rows = np.repeat(np.arange(draws), videos)
    counts = np.zeros((draws, videos), dtype=np.int32)
    np.add.at(counts, (rows, picks.ravel()), 1)
    return counts


def mean_ap_of_draws(matches: Matches, counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean AP of every resample, in percent.

    Args:
        matches: The labeled predictions of all videos.
        counts: How often each resample contains each video, ``(draws, videos)``.

    Returns:
        ``(draws,)``. The mean of a resample leaves out joints without ground truth in it.
    """
    truth, predicted = matches.pool.truth, matches.pool.predicted
    truth_video = matches.pool.video[truth.frame]
    predicted_video = matches.pool.video[predicted.frame]
    areas = np.full((len(counts), truth.exists.shape[1]), np.nan)
    for joint in range(truth.exists.shape[1]):
        rows = np.flatnonzero(predicted.exists[:, joint])
        rows = rows[np.argsort(predicted.scores[rows, joint], kind="stable")[::-1]]
        per_video = np.bincount(truth_video[truth.exists[:, joint]], minlength=counts.shape[1])
        areas[:, joint] = _areas(
            counts[:, predicted_video[rows]], matches.correct[rows, joint], counts @ per_video
        )
    known = ~np.isnan(areas)
    total = np.where(known, areas, 0).sum(axis=1)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1))


@dataclass(frozen=True, slots=True)
class DrawnAP:
    """Mean AP of a system in percent: over all videos, then over every resample."""

    videos: tuple[str, ...]
    values: NDArray[np.float64]
    """``(1 + draws,)``."""


def draw_ap(matches: Matches, draws: int = DRAWS, seed: int = SEED) -> DrawnAP:
    """Return the mean AP of a system over resamples of its videos.

    Args:
        matches: Its labeled predictions.
        draws: Number of resamples.
        seed: Random seed; systems that are compared need the same one.
    """
    names = tuple(matches.pool.names)
    everything = np.ones((1, len(names)), np.int32)
    counts = np.vstack([everything, draw_videos(len(names), draws, seed)])
    return DrawnAP(names, mean_ap_of_draws(matches, counts))


def paired_gain(system: DrawnAP, baseline: DrawnAP) -> Gain | None:
    """Return the gain of a system over a baseline on the same videos.

    Args:
        system: AP of the system.
        baseline: AP of the baseline over the same resamples of the same videos, in the same order.

    Returns:
        The gain, without an interval if there is only one video; None if there is no video.

    Raises:
        ValueError: If the two were scored on different videos.
    """
    if system.videos != baseline.videos:
        raise ValueError(f"expected the same videos, got {system.videos} and {baseline.videos}")
    if not system.videos:
        return None
    gains = system.values - baseline.values
    if len(system.videos) == 1:
        return Gain(float(gains[0]), None)
    low, high = np.percentile(gains[1:], [2.5, 97.5])
    return Gain(float(gains[0]), (float(low), float(high)))


def paired_gains(
    matches: Mapping[str, Mapping[str, Matches]], comparisons: Comparisons
) -> dict[tuple[str, str, str], Gain | None]:
    """Return the gain of every head over its baseline and controls.

    Args:
        matches: Labeled predictions by split, then by system.
        comparisons: Baseline and controls of each head.

    Returns:
        Gains by (split, head, baseline or control); None where the split has no labeled joint.
    """
    gains: dict[tuple[str, str, str], Gain | None] = {}
    for split, systems in matches.items():
        drawn = {name: draw_ap(found) for name, found in systems.items()}
        for head, others in comparisons.items():
            labeled = bool(systems[head].pool.truth.exists.any())
            for other in others:
                gain = paired_gain(drawn[head], drawn[other]) if labeled else None
                gains[split, head, other] = gain
    return gains


def _areas(
    weights: NDArray[np.int32], correct: NDArray[np.bool_], n_gt: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the area under the weighted curve of every resample, ``(draws,)``, in percent."""
    # Recall rises only at hits, and precision falls at every miss: the steps and the envelope need
    # the ranks of the hits alone.
    total = np.cumsum(weights, axis=1, dtype=np.int32)[:, correct]
    hits = np.cumsum(weights[:, correct], axis=1, dtype=np.int32)
    precision = hits / np.maximum(total, 1)
    # A prediction that counts k times takes k consecutive ranks, all correct or all wrong. The last
    # one determines the envelope of all k, so one step of weight k has the same area.
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    area = 100 * (np.diff(hits, axis=1, prepend=0) * envelope).sum(axis=1)
    return np.where(n_gt > 0, area / np.maximum(n_gt, 1), np.nan)
