"""Build PoseTrack annotation files as dicts: by hand, at random, and in the format of 2017."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.posetrack import posetrack17, posetrack18
from pipeline.evaluation.metrics.posetrack_pool import VideoPair
from tests.oracle_poseval import NAMES, USED

Document = dict[str, Any]

POINT_IDS = [
    "right_ankle", "right_knee", "right_hip", "left_hip",
    "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "head_bottom", "nose", "head_top",
]  # fmt: skip


def pair(truth: Document, predicted: Document, video: str = "a") -> VideoPair:
    """Parse the ground truth and the predictions of a video, each in its own format."""
    parsed = [
        (posetrack17 if "annolist" in file else posetrack18).parse(
            copy.deepcopy(file), Path(f"{video}.json"), truth=file is truth
        )
        for file in (truth, predicted)
    ]
    return VideoPair(video, *parsed)


def keypoints(points: dict[str, tuple[float, float]], flag: int = 1) -> list[float]:
    """Return the 51 keypoint numbers of a person with only some joints labeled."""
    values = [0.0] * 51
    for name, (x, y) in points.items():
        start = 3 * NAMES.index(name)
        values[start : start + 3] = [x, y, flag]
    return values


def everywhere(x: float, y: float, step: float = 20.0) -> dict[str, tuple[float, float]]:
    """Return all 15 joints on a horizontal line that starts at (x, y)."""
    return {NAMES[j]: (x + step * i, y) for i, j in enumerate(USED)}


def document(frames: int, *, labeled: bool = True, first_id: int = 1) -> Document:
    """Return an annotation file without people."""
    return {
        "images": [
            {
                "file_name": f"images/val/000001_mpii_test/{frame:06d}.jpg",
                "id": first_id + frame,
                "is_labeled": labeled,
                "ignore_regions_x": [],
                "ignore_regions_y": [],
            }
            for frame in range(frames)
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": list(NAMES)}],
    }


def add_person(
    file: Document,
    frame: int,
    points: dict[str, tuple[float, float]],
    *,
    head: tuple[float, float] = (30.0, 40.0),
    flag: int = 1,
) -> Document:
    """Add a ground-truth person; with the default head box, 15 px is the PCKh threshold."""
    number = len(file["annotations"])
    file["annotations"].append(
        {
            "image_id": file["images"][frame]["id"],
            "id": 1000 + number,
            "track_id": number,
            "category_id": 1,
            "keypoints": keypoints(points, flag),
            "bbox": [0.0, 0.0, 100.0, 200.0],
            "bbox_head": [0.0, 0.0, *head],
        }
    )
    return file


def add_prediction(
    file: Document,
    frame: int,
    points: dict[str, tuple[float, float]],
    *,
    score: float = 0.5,
) -> Document:
    """Add a predicted person whose joints all have the same score."""
    file["annotations"].append(
        {
            "image_id": file["images"][frame]["id"],
            "track_id": len(file["annotations"]),
            "category_id": 1,
            "keypoints": keypoints(points),
            "scores": [score] * 17,
            "score": score,
        }
    )
    return file


def random_pair(seed: int) -> tuple[Document, Document]:
    """Return random ground truth and predictions of one short video, with many ties and edge cases.

    Coordinates are on a coarse grid around a few points. Equal distances, equal PCKh shares,
    distances of exactly half a head size and joints on polygon edges are therefore frequent.
    """
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 4))
    truth = document(frames, first_id=int(rng.integers(1, 10**6)))
    predicted = json.loads(json.dumps(truth))
    for frame, image in enumerate(truth["images"]):
        image["is_labeled"] = bool(rng.random() < 0.8)
        for _ in range(int(rng.integers(0, 3))):
            corners = (rng.integers(-2, 14, (2, int(rng.integers(3, 7)))) * 5).tolist()
            image["ignore_regions_x"].append(corners[0])
            image["ignore_regions_y"].append(corners[1])
        for _ in range(int(rng.integers(0, 4))):
            head = [(30.0, 40.0), (9.0, 12.0), (0.0, 0.0)][int(rng.choice(3, p=[0.7, 0.2, 0.1]))]
            add_person(truth, frame, {}, head=head)
            truth["annotations"][-1]["keypoints"] = _random_keypoints(rng)
        for _ in range(int(rng.integers(0, 5))):
            add_prediction(predicted, frame, {})
            person = predicted["annotations"][-1]
            person["keypoints"] = _random_keypoints(rng)
            person["scores"] = rng.choice([-1.0, 0.25, 0.5, 0.75, 1.0], 17).tolist()
            if rng.random() < 0.1:
                del person["scores"]
    rng.shuffle(truth["annotations"])
    rng.shuffle(predicted["annotations"])
    return truth, predicted


def _random_keypoints(rng: np.random.Generator) -> list[float]:
    origin = rng.integers(0, 3, 2) * 15
    points = origin + rng.integers(-3, 4, (17, 2)) * 3
    flags = rng.integers(0, 2, (17, 1))
    points[rng.random(17) < 0.2] = 0
    values: list[float] = np.column_stack([points, flags]).astype(float).ravel().tolist()
    return values


def as_2017(file: Document, *, truth: bool) -> Document:
    """Return the same content in the format of 2017; keypoints of three zeros become absent."""
    entries = []
    for number, image in enumerate(file["images"], start=1):
        people = [a for a in file["annotations"] if a["image_id"] == image["id"]]
        entry: Document = {
            "image": [{"name": image["file_name"]}],
            "imgnum": [number],
            "annorect": [_rect(person, truth=truth) for person in people],
        }
        if truth:
            entry["is_labeled"] = [int(image["is_labeled"])]
            entry["ignore_regions"] = [
                {"point": [{"x": [x], "y": [y]} for x, y in zip(xs, ys, strict=True)]}
                for xs, ys in zip(image["ignore_regions_x"], image["ignore_regions_y"], strict=True)
            ]
        entries.append(entry)
    return {"annolist": entries}


def _rect(person: Document, *, truth: bool) -> Document:
    points = []
    for number, name in enumerate(POINT_IDS):
        slot = NAMES.index(name)
        x, y, v = person["keypoints"][3 * slot : 3 * slot + 3]
        if (x, y, v) != (0, 0, 0):
            point = {"id": [number], "x": [x], "y": [y], "is_visible": [v]}
            if person.get("scores"):
                point["score"] = [person["scores"][slot]]
            points.append(point)
    rect: Document = {"track_id": [person["track_id"]], "annopoints": [{"point": points}]}
    if truth:
        x, y, width, height = person["bbox_head"]
        rect |= {"x1": [x], "y1": [y], "x2": [x + width], "y2": [y + height]}
    return rect


def write(folder: Path, files: dict[str, Document]) -> Path:
    """Write annotation files by name into a folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        (folder / f"{name}.json").write_text(json.dumps(file), encoding="utf-8")
    return folder
