"""Reference implementation of PoseTrack AP: slow, plain loops, no code shared with the pipeline.

It follows the description of the algorithm (steps S1 to S8) and reads files in the format of 2018
whose categories name all 17 keypoints in the official order. A reversed stable sort breaks ties.
"""

from fractions import Fraction
from math import nan, sqrt
from typing import Any

NAMES = [
    "nose", "head_bottom", "head_top", "left_ear",
    "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
USED = [i for i, name in enumerate(NAMES) if not name.endswith("ear")]

Document = dict[str, Any]
Point = tuple[float, float]


def inside(point: Point, polygon: list[Point]) -> bool:
    """Apply the even-odd rule in exact arithmetic; a point on an edge is outside."""
    x, y = Fraction(point[0]), Fraction(point[1])
    crossings = 0
    for i in range(len(polygon)):
        ax, ay = (Fraction(value) for value in polygon[i - 1])
        bx, by = (Fraction(value) for value in polygon[i])
        on_line = (bx - ax) * (y - ay) == (by - ay) * (x - ax)
        if on_line and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return False
        if (ay > y) != (by > y):
            crossings += x < ax + (y - ay) * (bx - ax) / (by - ay)
    return crossings % 2 == 1


def joints_of(person: Document, protocol: str, polygons: list[list[Point]]) -> dict[int, Point]:
    found = {}
    for j in USED:
        x, y, v = person["keypoints"][3 * j : 3 * j + 3]
        exists = not (x == 0 and y == 0 and v == 0) if protocol == "poseval" else x > 0 and y > 0
        if exists and not any(inside((x, y), polygon) for polygon in polygons):
            found[j] = (x, y)
    return found


def assign(truth: list[dict[str, Any]], predicted: list[dict[str, Any]]) -> dict[int, int]:
    """Return the index of the matched ground-truth person by index of the prediction."""
    share = [[0.0] * len(truth) for _ in predicted]
    for p, prediction in enumerate(predicted):
        for g, person in enumerate(truth):
            right = sum(close(prediction, person, j) for j in USED)
            share[p][g] = right / len(person["joints"]) if person["joints"] else 0.0
        if truth:
            best = share[p].index(max(share[p]))
            share[p] = [value if g == best else 0.0 for g, value in enumerate(share[p])]
    partner = {}
    for g in range(len(truth)):
        column = [share[p][g] for p in range(len(predicted))]
        if column and max(column) > 0:
            partner[column.index(max(column))] = g
    return partner


def close(prediction: dict[str, Any], person: dict[str, Any], j: int) -> bool:
    if j not in prediction["joints"] or j not in person["joints"]:
        return False
    if person["head"] == 0:
        return False
    (px, py), (gx, gy) = prediction["joints"][j], person["joints"][j]
    return sqrt((px - gx) ** 2 + (py - gy) ** 2) / person["head"] <= 0.5


def area_under(scores: list[float], labels: list[bool], n_gt: int, protocol: str) -> float:
    if not scores:
        return 0.0
    if n_gt == 0:
        return nan if protocol == "poseval" else 0.0
    order = sorted(range(len(scores)), key=lambda i: scores[i])[::-1]
    recall, precision, hits = [0.0], [0.0], 0
    for rank, i in enumerate(order, start=1):
        hits += labels[i]
        recall.append(hits / n_gt)
        precision.append(hits / rank)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return 100 * sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def posetrack_ap(videos: list[tuple[Document, Document]], protocol: str) -> dict[str, Any]:
    """Return AP, n_gt, n_pred and n_tp by joint name, and the number of evaluated frames."""
    scores: dict[int, list[float]] = {j: [] for j in USED}
    labels: dict[int, list[bool]] = {j: [] for j in USED}
    n_gt = dict.fromkeys(USED, 0)
    frames = 0
    for truth_file, predicted_file in videos:
        for image, other in zip(truth_file["images"], predicted_file["images"], strict=True):
            people = [a for a in truth_file["annotations"] if a["image_id"] == image["id"]]
            if not (people if protocol == "poseval" else image["is_labeled"]):
                continue
            frames += 1
            polygons = [
                list(zip(x, y, strict=True))
                for x, y in zip(
                    image.get("ignore_regions_x", []),
                    image.get("ignore_regions_y", []),
                    strict=True,
                )
            ]
            truth = [
                {
                    "joints": joints_of(a, protocol, polygons),
                    "head": 0.6 * sqrt(a["bbox_head"][2] ** 2 + a["bbox_head"][3] ** 2),
                }
                for a in people
            ]
            predicted = [
                {
                    "joints": joints_of(a, protocol, polygons),
                    "scores": a.get("scores") or [-9999] * 17,
                }
                for a in predicted_file["annotations"]
                if a["image_id"] == other["id"]
            ]
            for person in truth:
                for j in person["joints"]:
                    n_gt[j] += 1
            partner = assign(truth, predicted)
            for p, prediction in enumerate(predicted):
                for j in prediction["joints"]:
                    scores[j].append(prediction["scores"][j])
                    labels[j].append(p in partner and close(prediction, truth[partner[p]], j))
    return {
        "ap": {NAMES[j]: area_under(scores[j], labels[j], n_gt[j], protocol) for j in USED},
        "n_gt": {NAMES[j]: n_gt[j] for j in USED},
        "n_pred": {NAMES[j]: len(scores[j]) for j in USED},
        "n_tp": {NAMES[j]: sum(labels[j]) for j in USED},
        "n_frames_used": frames,
    }
