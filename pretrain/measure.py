"""Held-out figures of the pretrained networks, on videos that none of them was fitted to.

Pose networks are given the true boxes and scored by the pipeline's own PoseTrack AP; the detector
by recall and precision at the pipeline's threshold; flow by its end-point error on people.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.geometry.affine import inverse, transform
from pipeline.core.geometry.boxes import iou, xyxy_to_xywh
from pipeline.core.heatmap import decode
from pipeline.evaluation.metrics.posetrack_ap import match, score
from pipeline.evaluation.metrics.posetrack_pool import Pool, Side
from pretrain.crops import Crops, plain_matrix, to_images, warp
from pretrain.pairs import Pairs
from pretrain.scenes import Scenes

_BATCH = 32
_BLUR = 1.0
"""Cells, the default of predict.blur."""


def pose_ap(
    heatmaps_of: Callable[[Tensor], Tensor], scenes: Scenes, crops: Crops
) -> dict[str, float]:
    """Return a pose network's PoseTrack AP and the usual height of its peaks.

    Args:
        heatmaps_of: From images ``(B, 3, H, W)`` in [0, 1] to heatmaps ``(B, 15, H / 4, W / 4)``.
        scenes: Held-out frames.
        crops: Params of the crops; augmentation is not used.

    Returns:
        ``map``, percent; ``peak_median``: median of the maxima over joints that are seen.
    """
    keypoints = np.empty_like(scenes.keypoints)
    scores = np.empty(scenes.visible.shape)
    for start in range(0, len(scenes.frame), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(scenes.frame)))
        matrices = [plain_matrix(scenes.boxes[row], crops) for row in rows]
        pictures = [
            warp(scenes.frames[scenes.frame[row]], to_crop, crops.size)
            for row, to_crop in zip(rows, matrices, strict=True)
        ]
        with torch.inference_mode():
            heatmaps = heatmaps_of(to_images(np.stack(pictures))).float().numpy()
        joints, scores[rows] = decode(heatmaps, "dark", _BLUR)
        for row, found, to_crop in zip(rows, joints, matrices, strict=True):
            keypoints[row] = transform(found, inverse(to_crop))
    pool = _pool(scenes, keypoints, scores)
    result = score(match(pool))
    return {
        "map": float(result["ap_total"]),
        "peak_median": float(np.median(scores[scenes.visible == 2])),
    }


def _pool(scenes: Scenes, keypoints: NDArray[np.float64], scores: NDArray[np.float64]) -> Pool:
    """Pair every labeled person with the prediction in their box."""
    frame, visible = scenes.frame.astype(np.int64), scenes.visible > 0
    head = 0.6 * np.hypot(scenes.head_boxes[:, 2], scenes.head_boxes[:, 3])
    everything = np.ones_like(visible)
    no_tracks = np.full(len(frame), -1, dtype=np.int64)
    return Pool(
        protocol="poseval",
        names=("holdout",),
        video=np.zeros(len(scenes.frames), np.int64),
        entry=np.arange(len(scenes.frames), dtype=np.int64),
        used=np.ones(len(scenes.frames), np.bool_),
        truth=Side(
            frame, scenes.keypoints, visible, np.zeros(visible.shape), visible, head, no_tracks
        ),
        predicted=Side(
            frame, keypoints, everything, scores, everything, np.full(len(frame), np.nan), no_tracks
        ),
    )


def detection(
    detector: Callable[[list[Tensor]], list[dict[str, Tensor]]],
    scenes: Scenes,
    threshold: float,
    most: int | None = None,
) -> dict[str, float]:
    """Return a detector's recall and precision at IoU 0.5 and a threshold on its scores.

    Frames with people whom nobody labeled are left out, as the pipeline ignores their regions.

    Args:
        detector: From a list of images to torchvision's boxes, scores and labels.
        scenes: Held-out frames.
        threshold: Least score of a detection, the pipeline's ``detect.score_min``.
        most: Frames to look at, spread over all; None for every frame.
    """
    true = found_count = people = 0
    frames = np.flatnonzero(~scenes.ignored)
    chosen = np.linspace(0, len(frames) - 1, min(most or len(frames), len(frames))).astype(int)
    for frame in frames[chosen]:
        image = torch.from_numpy(scenes.frames[frame].copy()).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            (found,) = detector([image])
        kept = found["boxes"][found["scores"] >= threshold].numpy().astype(np.float64)
        boxes = scenes.boxes[scenes.people_of(int(frame))]
        true += _matched(iou(xyxy_to_xywh(kept), boxes))
        found_count += len(kept)
        people += len(boxes)
    return {"recall": true / max(people, 1), "precision": true / max(found_count, 1)}


def _matched(overlap: NDArray[np.float64]) -> int:
    """Return how many detections, best first, find a person of their own at IoU 0.5."""
    free = np.ones(overlap.shape[1], np.bool_)
    for row in overlap if free.any() else ():
        best = int((row * free).argmax())
        if row[best] * free[best] >= 0.5:
            free[best] = False
    return int((~free).sum())


def flow_error(
    flow_of: Callable[[Tensor, Tensor], Tensor], pairs: Iterator[Pairs]
) -> dict[str, float]:
    """Return the end-point error of flow on people and at joints, in crop pixels.

    Beside it stand the errors of DIS, of zero flow and, at joints, of the exact flow: a hidden
    joint lies under what hides it, whose motion is another.

    Args:
        flow_of: From two batches of uint8 images ``(B, 3, H, W)`` to flow ``(B, 2, H, W)``.
        pairs: Held-out pairs of crops.

    Returns:
        ``epe``, ``epe_in_sight`` (pixels that the second frame still shows), ``dis_epe``,
        ``dis_epe_in_sight`` (OpenCV's DIS, medium preset), ``zero_epe``, the mean motion, and
        ``joints``, ``dis_joints``, ``exact_joints`` and ``zero_joints`` (see ``joint_errors``).
    """
    found: dict[str, list[Tensor]] = {}
    for batch in pairs:
        with torch.inference_mode():
            flow = flow_of(batch.first, batch.second)
        baselines = {"dis_": dis(batch.first, batch.second), "zero_": torch.zeros_like(batch.flow)}
        for prefix, estimate in {"": flow, **baselines, "exact_": batch.flow}.items():
            distance = (estimate - batch.flow).norm(dim=1)
            errors = {
                "epe": distance[batch.people],
                "epe_in_sight": distance[batch.people & batch.in_sight],
                "joints": joint_errors(estimate, batch),
            }
            for name, values in errors.items():
                found.setdefault(prefix + name, []).append(values)
    names = ["epe", "epe_in_sight", "dis_epe", "dis_epe_in_sight", "zero_epe"]
    names += ["joints", "dis_joints", "exact_joints", "zero_joints"]
    return {name: float(torch.cat(found[name]).mean()) for name in names}


def joint_errors(flow: Tensor, pairs: Pairs) -> Tensor:
    """Return how far the flow at each known joint is off the joint's own step, crop pixels.

    The flow is averaged over 5 x 5 pixels, as the heatmap's cells average it (models/raft.py), and
    read between pixels bilinearly.

    Args:
        flow: (dx, dy) in crop pixels, ``(B, 2, H, W)``.
        pairs: The pairs of the flow.

    Returns:
        One distance per known joint, ``(M,)``.
    """
    mean = F.avg_pool2d(flow, 5, stride=1, padding=2, count_include_pad=False)
    sides = torch.tensor(flow.shape[:-3:-1]) - 1
    places = (2 * pairs.joints / sides - 1)[:, :, None]
    there = F.grid_sample(mean, places, padding_mode="border", align_corners=True)
    difference = there[..., 0].transpose(1, 2) - pairs.steps
    # The norm of exactly 0 has no gradient.
    return (difference[pairs.known].square().sum(dim=-1) + 1e-8).sqrt()


def dis(first: Tensor, second: Tensor) -> Tensor:
    """Return OpenCV's DIS flow, medium preset, of uint8 images ``(B, 3, H, W)``."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows = []
    for pair in zip(first.numpy(), second.numpy(), strict=True):
        gray = [cv2.cvtColor(image.transpose(1, 2, 0), cv2.COLOR_RGB2GRAY) for image in pair]
        flows.append(method.calc(gray[0], gray[1], None).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(flows))
