"""Classify the error of each predicted joint: jitter, inversion, swap or miss.

The taxonomy is that of Ronchi and Perona ("Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation", ICCV 2017, Sec. 3.1). If the text allows two kinds, the authors' program decides
(matteorr/coco-analyze, pycocotools/cocoanalyze.py, _find_kpt_errors): the kind is that of the
ground-truth joint with the largest similarity. The similarity of two positions is the keypoint
similarity of OKS, exp(-d^2 / (2 area (2 sigma)^2)), with the area of the ground-truth person.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.posetrack.annotations import Annotations, person_boxes
from pipeline.core.skeleton import FLIP, JOINT_SLOTS, JOINTS, OKS_SIGMAS
from pipeline.evaluation.metrics.posetrack_pool import VideoPair

KINDS = ("good", "jitter", "inversion", "swap", "miss", "undetected")
"""``undetected``: a joint of a person without a matched prediction."""

JITTER = (0.5, 0.85)
"""Similarities of jitter: a miss is below the first value, a good joint at least at the second
(ibid., Sec. 3.1)."""

LEAST_OKS = 0.1
"""Smallest OKS of a match (ibid., Sec. 3; cocoanalyze.py, oksLocThrs)."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def count_errors(pairs: Sequence[VideoPair], used: Sequence[Mask]) -> NDArray[np.int64]:
    """Count the kinds of error over all labeled joints of many videos.

    Args:
        pairs: The videos.
        used: Frames that are counted, ``(F,)`` for every video.

    Returns:
        Counts, ``(15, 6)``: joints in the order of ``JOINTS``, kinds in the order of ``KINDS``. The
        sum of a row is the number of labeled joints.
    """
    counts = np.zeros((len(JOINTS), len(KINDS)), dtype=np.int64)
    for pair, frames in zip(pairs, used, strict=True):
        truth = _by_frame(pair.truth)
        predicted = _by_frame(pair.predicted)
        areas = person_boxes(pair.truth.people)[:, 2:].prod(axis=1)
        scores = _person_scores(pair.predicted)
        for frame in np.flatnonzero(frames & pair.truth.has_people):
            g, p = truth[frame], predicted[frame]
            kinds = frame_errors(
                (_joints(pair.truth, g), _labeled(pair.truth, g), areas[g]),
                (_joints(pair.predicted, p), _labeled(pair.predicted, p), scores[p]),
            )
            for kind in range(len(KINDS)):
                counts[:, kind] += (kinds == kind).sum(axis=0)
    return counts


def frame_errors(
    truth: tuple[Floats, Mask, Floats], predicted: tuple[Floats, Mask, Floats]
) -> NDArray[np.int64]:
    """Classify the error of every labeled joint of a frame.

    Args:
        truth: Joints xy in pixels ``(G, 15, 2)``, mask of labeled joints ``(G, 15)``, and areas of
            the people in square pixels ``(G,)``.
        predicted: Joints ``(P, 15, 2)``, mask of predicted joints ``(P, 15)``, and scores of the
            people ``(P,)``.

    Returns:
        Index in ``KINDS`` for every ground-truth joint, ``(G, 15)``; -1 for joints without label.
    """
    joints, labeled, areas = truth
    places, given, scores = predicted
    kinds = np.where(labeled, KINDS.index("undetected"), -1)
    if not len(joints) or not len(places):
        return kinds
    # (P, G, 15): similarity of every predicted joint to the same joint and to the mirrored joint.
    same = _similarity(places, joints, labeled, areas)
    mirrored = _similarity(places, joints[:, FLIP], labeled[:, FLIP], areas)
    oks = (np.maximum(same, 0) * given[:, None]).sum(axis=2) / np.maximum(labeled.sum(axis=1), 1)
    for p, g in _matched(oks, scores):
        found = _kinds(same[p], mirrored[p], g)
        found[~given[p]] = KINDS.index("miss")
        kinds[g] = np.where(labeled[g], found, -1)
    return kinds


def _similarity(places: Floats, joints: Floats, labeled: Mask, areas: Floats) -> Floats:
    """Return the keypoint similarity, ``(P, G, 15)``; -1 for joints without label."""
    distance = ((places[:, None] - joints[None]) ** 2).sum(axis=3)
    spread = 2 * (2 * OKS_SIGMAS[JOINT_SLOTS]) ** 2 * (areas[:, None] + np.spacing(1))
    return np.where(labeled, np.exp(-distance / spread), -1.0)


def _matched(oks: Floats, scores: Floats) -> list[tuple[int, int]]:
    """Match predictions by descending score to the free person of highest OKS (cocoeval.py)."""
    free = np.ones(oks.shape[1], dtype=bool)
    pairs = []
    for p in np.argsort(-scores, kind="stable"):
        candidates = np.where(free, oks[p], -1.0)
        g = int(candidates.argmax())
        if candidates[g] >= LEAST_OKS:
            free[g] = False
            pairs.append((int(p), g))
    return pairs


def _kinds(same: Floats, mirrored: Floats, own: int) -> NDArray[np.int64]:
    """Return the kind of every joint of a prediction that is matched to person ``own``."""
    others = np.arange(len(same)) != own
    # The mirror image of a joint on the body's axis is the joint itself: the first row wins ties.
    rows = [same[own], mirrored[own], same[others].max(axis=0, initial=-1.0)]
    rows.append(mirrored[others].max(axis=0, initial=-1.0))
    similarity = np.stack(rows)
    nearest, largest = similarity.argmax(axis=0), similarity.max(axis=0)
    good, jitter, inversion, swap, miss = (KINDS.index(kind) for kind in KINDS[:5])
    kinds = np.choose(
        nearest, [np.where(largest >= JITTER[1], good, jitter), inversion, swap, swap]
    )
    return np.where(largest < JITTER[0], miss, kinds)


def _by_frame(annotations: Annotations) -> list[NDArray[np.int64]]:
    counts = np.bincount(annotations.people.frame, minlength=len(annotations.file_names))
    return np.split(np.arange(len(annotations.people.frame)), np.cumsum(counts)[:-1])


def _joints(annotations: Annotations, rows: NDArray[np.int64]) -> Floats:
    return annotations.people.keypoints[rows][:, JOINT_SLOTS, :2]


def _labeled(annotations: Annotations, rows: NDArray[np.int64]) -> Mask:
    return annotations.people.present[rows][:, JOINT_SLOTS]


def _person_scores(annotations: Annotations) -> Floats:
    people = annotations.people
    means = people.scores[:, JOINT_SLOTS].mean(axis=1)
    return np.where(np.isnan(people.person_scores), means, people.person_scores)
