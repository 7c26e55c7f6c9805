"""The whole DAG on real frames, with the networks and heads that ship with the project.

Nothing was trained on real people: the numbers are low, and no test asks more of them than to be
there. What is tested is that every stage takes real frames, labels and detections as they are.
"""

import json
from pathlib import Path

import pytest

from tests.toy_clone import clone, edit_params, run

SYSTEMS = ("hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd")


def repro(folder: Path, *preset: str) -> dict[str, dict[str, dict[str, float]]]:
    """Run the DAG on a preset and return the metric files by system."""
    clone(folder)
    run(folder, "stages.use_preset", *preset)
    edit_params(folder, {"extract.threads": 1, "report.pictures": 1})
    run(folder, "dvc", "repro")
    files = {name: folder / "data/metrics" / f"{name}.json" for name in SYSTEMS}
    return {name: json.loads(file.read_text()) for name, file in files.items()}


@pytest.mark.slow
def test_41_consecutive_frames_with_four_people_and_the_hog_detector(
    shared: Path, tmp_path: Path
) -> None:
    root = shared / "real/bonn_multiperson_posetrack"
    metrics = repro(tmp_path / "clone", "real_clip", "--root", str(root))
    provenance = tmp_path / "clone/data/metrics/jmpose.provenance.json"
    facts = json.loads(provenance.read_text())
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
def test_three_posetrack18_frames_with_boxes_from_a_coco_result_file(
    shared: Path, tmp_path: Path
) -> None:
    root = shared / "real/mmpose_tests_data/posetrack18"
    boxes = root / "annotations/test_posetrack18_human_detections.json"
    options = ("--root", str(root), "--detections", str(boxes))
    metrics = repro(tmp_path / "clone", "real_clip", *options)
    for system in SYSTEMS:
        scores = metrics[system]["val_gt"]
        assert scores["n_frames_used"] == 3
        assert 0 <= scores["ap_total"] <= 100
        # 278 boxes in the file, 0.051 to 0.989; those from detect.score_min on are used.
        assert metrics[system]["val"]["n_frames_used"] == 3
