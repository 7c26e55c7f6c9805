"""PoseTrack AP: matching by head-normalized distance, one precision-recall curve per joint.

This module implements steps S4 to S8 of the metric as poseval computes it
(leonid-pishchulin/poseval, commit 4258a157, poseval/eval_helpers.py: assignGTmulti, computeRPC,
VOCap; evaluateAP.py), and the variant of PoseTrack21 (anDoer/PoseTrack21, commit 3e61960e,
trackeval/metrics/map.py). They differ only in the AP of a joint without ground truth.

One difference is deliberate: scores are sorted by a stable sort, reversed. The default sort of
poseval orders equal scores differently on different CPUs, so that its result depends on the
machine.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.skeleton import GROUPS, JOINTS, POSEVAL_JOINTS
from pipeline.evaluation.metrics.polygons import explode
from pipeline.evaluation.metrics.posetrack_pool import Pool, Side

THRESHOLD = 0.5
"""Largest distance of a match, in head sizes, inclusive (evaluateAP.py, distThresh)."""

PAIRS_AT_ONCE = 50_000
"""Maximum number of pairs of people whose distances are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Predicted people and joints of a pool, labeled by the matching."""

    pool: Pool
    partner: NDArray[np.int64]
    """Row of the ground-truth person that a prediction is assigned to, -1 for none, ``(P,)``."""
    correct: NDArray[np.bool_]
    """Joints within the threshold of the same joint of their partner, ``(P, 15)``."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The R predictions of one joint, in the order of descending scores."""

    scores: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    n_gt: int
    n_tp: int

    def area(self) -> float:
        """Return the area under the curve in percent (eval_helpers.py, VOCap).

        Precision is made monotone from the right. Without predictions the area is 0. Without ground
        truth it is NaN for poseval and 0 for PoseTrack21, which divides by at least 1.
        """
        if len(self.scores) == 0:
            return 0.0
        recall = np.concatenate([[0.0], self.recall, [1.0]])
        precision = np.concatenate([[0.0], self.precision, [0.0]])
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(100 * np.sum(np.diff(recall) * envelope[1:]))


def match(pool: Pool) -> Matches:
    """Assign predicted people to ground-truth people and label every predicted joint.

    Scores are not used. Every prediction selects one ground-truth person, by the share of that
    person's joints within the threshold; every ground-truth person is then assigned the best of the
    predictions that selected it. The other predictions stay unassigned.

    Args:
        pool: The scored frames.

    Raises:
        ValueError: If a ground-truth person with joints has no head box in a frame with
            predictions.
    """
    truth, predicted = pool.truth, pool.predicted
    _refuse_headless(pool)
    best = np.full(len(predicted.frame), -1, dtype=np.int64)
    share = np.zeros(len(predicted.frame))
    correct = np.zeros(predicted.exists.shape, dtype=bool)
    left = np.searchsorted(truth.frame, predicted.frame, side="left")
    counts = np.searchsorted(truth.frame, predicted.frame, side="right") - left
    for rows in _blocks(counts):
        _choose(truth, predicted, rows, left[rows], counts[rows], (best, share, correct))
    candidates = np.flatnonzero(share > 0)
    order = candidates[np.lexsort((candidates, -share[candidates], best[candidates]))]
    _, winner = np.unique(best[order], return_index=True)
    partner = np.full(len(best), -1, dtype=np.int64)
    partner[order[winner]] = best[order[winner]]
    correct[partner < 0] = False
    return Matches(pool, partner, correct)


def _blocks(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split predictions with ground truth in their frame into blocks of about ``PAIRS_AT_ONCE``."""
    rows = np.flatnonzero(counts)
    block = np.cumsum(counts[rows]) // PAIRS_AT_ONCE
    return [part for part in np.split(rows, np.flatnonzero(np.diff(block)) + 1) if len(part)]


def _choose(
    truth: Side,
    predicted: Side,
    rows: NDArray[np.int64],
    left: NDArray[np.int64],
    counts: NDArray[np.int64],
    chosen: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]],
) -> None:
    """Find the best ground-truth person of every prediction in ``rows``, in place."""
    row, g = explode(left, counts)
    p = rows[row]
    offset = predicted.joints[p] - truth.joints[g]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A head box of zero size gives inf or NaN, which never matches.
        distance = np.sqrt((offset * offset).sum(axis=2)) / truth.head[g][:, None]
        near = (distance <= THRESHOLD) & predicted.exists[p] & truth.exists[g]
    joints = truth.exists[g].sum(axis=1)
    share = near.sum(axis=1) / np.maximum(joints, 1)
    first = np.cumsum(counts) - counts
    largest = np.maximum.reduceat(share, first)
    # Among equal shares, the pair with the smallest position wins.
    position = np.where(share == largest[row], np.arange(len(share)), len(share))
    winner = np.minimum.reduceat(position, first)
    best, best_share, correct = chosen
    best[rows], best_share[rows], correct[rows] = g[winner], share[winner], near[winner]


def _refuse_headless(pool: Pool) -> None:
    truth = pool.truth
    asked = truth.exists.any(axis=1) & np.isin(truth.frame, pool.predicted.frame)
    faulty = asked & np.isnan(truth.head)
    if faulty.any():
        frame = truth.frame[int(faulty.argmax())]
        name, entry = pool.names[pool.video[frame]], pool.entry[frame]
        raise ValueError(
            f"{name}: frame {entry}: expected a head box (`bbox_head`, in 2017 x1, y1, x2, y2) for "
            "every ground-truth person with joints, found one without; distances are measured in "
            "head sizes, so add the box or remove the person"
        )


def curves(
    matches: Matches,
    frames: NDArray[np.bool_] | None = None,
    joints: NDArray[np.bool_] | None = None,
) -> list[Curve]:
    """Rank the predictions of every joint over all videos and frames.

    Args:
        matches: The labeled predictions.
        frames: Frames that are counted, ``(F,)``; default: all scored frames.
        joints: Ground-truth joints that are counted, ``(G, 15)``; default: all. The assignment of
            people uses all joints in any case. A prediction whose partner has the joint, but not as
            a counted one, is removed from the ranking, as inside an ignore region; a prediction
            without partner is still wrong.

    Returns:
        One curve per joint, in the order of ``JOINTS``.
    """
    truth, predicted = matches.pool.truth, matches.pool.predicted
    exists, shown = predicted.exists, truth.exists
    if joints is not None and len(shown):
        left_out = (shown & ~joints)[matches.partner] & (matches.partner >= 0)[:, None]
        exists, shown = exists & ~left_out, shown & joints
    if frames is not None:
        exists = exists & frames[predicted.frame][:, None]
        shown = shown & frames[truth.frame][:, None]
    n_gt = shown.sum(axis=0)
    least = 1 if matches.pool.protocol == "posetrack21" else 0
    return [
        _curve(predicted.scores[rows, j], matches.correct[rows, j], int(n_gt[j]), least)
        for j, rows in enumerate(exists.T)
    ]


def _curve(scores: NDArray[np.float64], correct: NDArray[np.bool_], n_gt: int, least: int) -> Curve:
    order = np.argsort(scores, kind="stable")[::-1]
    tp = np.cumsum(correct[order])
    with np.errstate(invalid="ignore"):
        recall = tp / np.float64(max(n_gt, least))
    precision = tp / np.arange(1, len(tp) + 1)
    return Curve(scores[order], recall, precision, n_gt, int(correct.sum()))


def score(
    matches: Matches,
    frames: NDArray[np.bool_] | None = None,
    joints: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Return AP of every joint and group in percent, and the counts.

    Args:
        matches: The labeled predictions.
        frames: Frames that are counted, as in ``curves``.
        joints: Ground-truth joints that are counted, as in ``curves``.

    Returns:
        Plain JSON values: ``protocol``, ``joints`` (15 names in poseval's order), ``ap``, ``n_gt``,
        ``n_pred``, ``n_tp`` (15 each, in that order), ``joint_ap``, ``ap_total``, ``groups``,
        ``n_frames_used``. None means NaN. If no frame is counted, every AP is None.
    """
    used = matches.pool.used if frames is None else matches.pool.used & frames
    ranked = dict(zip(JOINTS, curves(matches, frames, joints), strict=True))
    ap = {name: ranked[name].area() if used.any() else np.nan for name in POSEVAL_JOINTS}
    groups = {name: float(np.mean([ap[j] for j in members])) for name, members in GROUPS.items()}
    known = [value for value in ap.values() if not np.isnan(value)]
    total = float(np.mean(known)) if known else np.nan
    return {
        "protocol": matches.pool.protocol,
        "joints": list(POSEVAL_JOINTS),
        "ap": [_or_none(ap[name]) for name in POSEVAL_JOINTS],
        "joint_ap": {name: _or_none(ap[name]) for name in POSEVAL_JOINTS},
        "ap_total": _or_none(total),
        # The column Mean is the mean over the 15 joints, not over the seven columns.
        "groups": {name: _or_none(value) for name, value in (groups | {"Mean": total}).items()},
        "n_gt": [ranked[name].n_gt for name in POSEVAL_JOINTS],
        "n_pred": [len(ranked[name].scores) for name in POSEVAL_JOINTS],
        "n_tp": [ranked[name].n_tp for name in POSEVAL_JOINTS],
        "n_frames_used": int(used.sum()),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
