"""How sure a difference between two systems is: a paired bootstrap over validation videos.

Frames of one video are alike, so whole videos are drawn, with replacement, the same ones for both
systems; PoseTrack AP is pooled anew for every draw.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics.posetrack_ap import Matches

DRAWS = 1000
SEED = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference of two systems' mean AP in points, with its 95 % interval."""

    mean: float
    low: float
    high: float


def draw_videos(videos: int, draws: int = DRAWS, seed: int = SEED) -> NDArray[np.int32]:
    """Return how often each draw takes each video, ``(draws, videos)``."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, max(videos, 1), size=(draws, videos))
    rows = np.repeat(np.arange(draws), videos)
    counts = np.zeros((draws, videos), dtype=np.int32)
    np.add.at(counts, (rows, picks.ravel()), 1)
    return counts


def mean_ap_of_draws(matches: Matches, counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean AP in percent when every video counts as often as a draw took it.

    Args:
        matches: The labeled predictions of all videos.
        counts: ``(draws, videos)``, as from ``draw_videos``.

    Returns:
        ``(draws,)``; joints without ground truth in a draw are left out of its mean.
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
    """Mean AP of a system, percent: of all videos, then of every draw."""

    videos: tuple[str, ...]
    values: NDArray[np.float64]
    """``(1 + draws,)``."""


def draw_ap(matches: Matches, draws: int = DRAWS, seed: int = SEED) -> DrawnAP:
    """Return the mean AP of a system over draws of its videos.

    Args:
        matches: Its labeled predictions.
        draws: Number of bootstrap draws.
        seed: Of the draws; the same for every system that is to be compared.
    """
    names = tuple(matches.pool.names)
    everything = np.ones((1, len(names)), np.int32)
    counts = np.vstack([everything, draw_videos(len(names), draws, seed)])
    return DrawnAP(names, mean_ap_of_draws(matches, counts))


def paired_gain(system: DrawnAP, baseline: DrawnAP) -> Gain | None:
    """Return how much a system gains over a baseline on the same videos.

    Args:
        system: Its AP over draws.
        baseline: That of the baseline, over the same draws of the same videos in the same order.

    Returns:
        The gain and its interval, or None where there are fewer than two videos.

    Raises:
        ValueError: If the two were scored on different videos.
    """
    if system.videos != baseline.videos:
        raise ValueError(f"expected the same videos, got {system.videos} and {baseline.videos}")
    if len(system.videos) < 2:
        return None
    gains = system.values - baseline.values
    low, high = np.percentile(gains[1:], [2.5, 97.5])
    return Gain(float(gains[0]), float(low), float(high))


def _areas(
    weights: NDArray[np.int32], correct: NDArray[np.bool_], n_gt: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the area below the weighted curve of every draw, ``(draws,)``, in percent."""
    # Recall rises at hits alone and precision falls at every miss, so that neither the steps nor
    # the envelope need another rank.
    total = np.cumsum(weights, axis=1, dtype=np.int32)[:, correct]
    hits = np.cumsum(weights[:, correct], axis=1, dtype=np.int32)
    precision = hits / np.maximum(total, 1)
    # A prediction that counts k times holds k ranks in a row, all right or all wrong. The envelope
    # of all k is that of the last one, so that one step of weight k has the same area.
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    area = 100 * (np.diff(hits, axis=1, prepend=0) * envelope).sum(axis=1)
    return np.where(n_gt > 0, area / np.maximum(n_gt, 1), np.nan)
