"""OpenCV's pedestrian detector on real frames."""

import json
from pathlib import Path

import numpy as np

from pipeline.core.frames.images import decode_image
from pipeline.core.geometry.boxes import iou, xyxy_to_xywh
from pipeline.detection.hog import HogDetector


def test_most_people_of_the_real_clip_are_found(shared: Path) -> None:
    """Reference measurement: recall 33 of 36 at IoU 0.4, 4 false positives."""
    clip = shared / "real/bonn_multiperson_posetrack"
    content = json.loads((clip / "060470979.json").read_text())
    detector = HogDetector()
    hits = people = false_positives = 0
    for image in content["images"][::10]:
        file = clip / image["file_name"]
        boxes, scores = detector([decode_image(file, file.read_bytes(), (540, 960))])[0]
        truth = [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]]
        overlap = iou(np.array(truth, dtype=float), xyxy_to_xywh(boxes))
        hits += int((overlap.max(axis=1) >= 0.4).sum())
        false_positives += int((overlap.max(axis=0) < 0.4).sum())
        people += len(truth)
        assert ((scores > 0.23) & (scores < 1)).all()
    assert people == 20
    assert hits >= 17
    assert false_positives <= 5
