"""COCO's OKS AP of PoseTrack predictions, computed by pycocotools.

PoseTrack has no official OKS protocol. The rules here: images are the frames with a ground-truth
annotation, and predictions in other frames are dropped; the area of a person is the area of their
box (facebookresearch/DetectAndTrack, tools/gen_posetrack_json.py); joints with a positive
visibility flag are evaluated; there are at most 20 people per frame; ignore regions are not
applied; the sigmas of all 17 slots are those of mmpose (configs/_base_/datasets/posetrack18.py).
"""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.core.posetrack.annotations import People
from pipeline.core.skeleton import JOINT_SLOTS, OKS_SIGMAS, SLOTS
from pipeline.evaluation.metrics.posetrack_pool import VideoPair

STATS = {"AP": 0, "AP50": 1, "AP75": 2, "AR": 5}
"""Index of every reported value in COCOeval.stats (cocoeval.py, _summarizeKps)."""

CATEGORY = {"id": 1, "name": "person", "keypoints": list(SLOTS), "skeleton": []}

Row = dict[str, Any]


def oks_ap(
    pairs: Sequence[VideoPair], frames: NDArray[np.bool_] | None = None
) -> dict[str, float | None] | None:
    """Return OKS AP, AP50, AP75 and AR in percent.

    The score of a prediction without a person score is the mean of its joint scores.

    Args:
        pairs: The videos.
        frames: Frames that are evaluated, in the order video, entry, ``(F,)``; default: all.

    Returns:
        The four values, each None if there is no labeled person; or None if a labeled person has
        no box, as in PoseTrack 2017.

    Raises:
        ValueError: If a coordinate or score is not finite. pycocotools scores NaN keypoints as
            perfect.
    """
    images: list[Row] = []
    truth: list[Row] = []
    predicted: list[Row] = []
    first = 0
    for pair in pairs:
        counts = pair.truth.has_people
        if frames is not None:
            counts = counts & frames[first : first + len(counts)]
        ids = np.where(counts, first + np.arange(len(counts)) + 1, 0)
        first += len(counts)
        if _boxless(pair.truth.people, counts):
            return None
        images += [{"id": int(image)} for image in ids[counts]]
        truth += _truth_rows(pair.truth.people, ids)
        predicted += _predicted_rows(pair.predicted.people, ids, pair.name)
    return _evaluate(images, truth, predicted)


def _boxless(people: People, counts: NDArray[np.bool_]) -> bool:
    labeled = (people.keypoints[:, :, 2] > 0).any(axis=1) & counts[people.frame]
    return bool((labeled & np.isnan(people.boxes_xywh).any(axis=1)).any())


def _truth_rows(people: People, ids: NDArray[np.int64]) -> list[Row]:
    rows = []
    for person in np.flatnonzero(ids[people.frame]):
        keypoints = people.keypoints[person]
        box = np.nan_to_num(people.boxes_xywh[person]).tolist()
        rows.append(
            {
                "image_id": int(ids[people.frame[person]]),
                "category_id": 1,
                "keypoints": keypoints.ravel().tolist(),
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
        )
    return rows


def _predicted_rows(people: People, ids: NDArray[np.int64], name: str) -> list[Row]:
    means = people.scores[:, JOINT_SLOTS].mean(axis=1)
    scores = np.where(np.isnan(people.person_scores), means, people.person_scores)
    finite = np.isfinite(people.keypoints).all(axis=(1, 2)) & np.isfinite(scores)
    if not finite.all():
        person = int((~finite).argmax())
        raise ValueError(
            f"{name}: frame {people.frame[person]}: expected finite keypoints and scores, got "
            f"{people.keypoints[person].ravel().tolist()!s:.80}; drop that prediction"
        )
    return [
        {
            "image_id": int(ids[people.frame[person]]),
            "category_id": 1,
            "keypoints": people.keypoints[person].ravel().tolist(),
            "score": float(scores[person]),
        }
        for person in np.flatnonzero(ids[people.frame])
    ]


def _evaluate(images: list[Row], truth: list[Row], predicted: list[Row]) -> dict[str, float | None]:
    if not any(row["num_keypoints"] for row in truth):
        return dict.fromkeys(STATS)
    # COCOeval treats annotation id 0 as unmatched (cocoeval.py, evaluateImg), so ids start at 1.
    numbered = [row | {"id": i} for i, row in enumerate(truth, start=1)]
    with redirect_stdout(StringIO()):
        gt = COCO()
        gt.dataset = {"images": images, "annotations": numbered, "categories": [CATEGORY]}
        gt.createIndex()
        if not predicted:
            return dict.fromkeys(STATS, 0.0)
        evaluation = COCOeval(gt, gt.loadRes(predicted), "keypoints")
        evaluation.params.kpt_oks_sigmas = OKS_SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(evaluation.stats[place]) * 100 for name, place in STATS.items()}
