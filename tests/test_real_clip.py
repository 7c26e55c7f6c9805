"""The DAG runs on real frames with the weights that ship with the project.

The networks are trained on synthetic people only, so the scores are low. The tests check that every
stage reads real frames, annotations and detections, and that the scores exist; not their values.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.toy_clone import Clone

SYSTEMS = ("hrnet", "mean", "refine", "fuse", "warp", "jmpose", "vit", "fuse_vit", "vremd")


def repro(clone: Clone, *preset: str) -> dict[str, dict[str, Any]]:
    """Run the DAG with a preset and return the content of the metric files by system."""
    clone.run("posereel", "use-preset", *preset)
    clone.edit_params({"extract.workers": 1, "report.pictures": 1})
    clone.run("dvc", "repro")
    files = {name: clone.folder / "data/metrics" / f"{name}.json" for name in SYSTEMS}
    return {name: json.loads(file.read_text()) for name, file in files.items()}


@pytest.mark.slow
def test_the_dag_runs_on_41_frames_with_four_people_and_the_hog_detector(
    shared: Path, tmp_path: Path, python: Path
) -> None:
    root = shared / "real/bonn_multiperson_posetrack"
    clone = Clone(tmp_path / "clone", python)
    metrics = repro(clone, "real_clip", "--root", str(root))
    facts = json.loads((clone.folder / "data/metrics/jmpose.provenance.json").read_text())
    assert facts["data_set"] == "real_clip"
    assert facts["box_source"]["val"] == "hog"
    assert facts["box_recall"] > 0.5
    for system in SYSTEMS:
        scores = metrics[system]["val_gt"]
        assert scores["n_frames_used"] == 41
        # All 14 annotated joints of 4 people in 41 frames; this data set has no nose.
        assert sum(scores["n_gt"]) == 41 * 4 * 14
        assert 0 <= scores["ap_total"] <= 100
        assert scores["oks"] is not None


@pytest.mark.slow
def test_the_dag_runs_on_three_posetrack18_frames_with_boxes_from_a_coco_result_file(
    shared: Path, tmp_path: Path, python: Path
) -> None:
    root = shared / "real/mmpose_tests_data/posetrack18"
    boxes = root / "annotations/test_posetrack18_human_detections.json"
    clone = Clone(tmp_path / "clone", python)
    metrics = repro(clone, "real_clip", "--root", str(root), "--detections", str(boxes))
    listed = [entry["score"] for entry in json.loads(boxes.read_text())]
    used = sum(score >= 0.2 for score in listed)  # detect.score_min
    assert 0 < used < len(listed)
    for system in SYSTEMS:
        predictions = clone.folder / f"data/predictions/{system}/val"
        people = [
            entry
            for file in predictions.glob("*.json")
            for entry in json.loads(file.read_text())["annotations"]
        ]
        assert len(people) == used
        for split in ("val", "val_gt"):
            assert metrics[system][split]["n_frames_used"] == 3
            assert 0 <= metrics[system][split]["ap_total"] <= 100
