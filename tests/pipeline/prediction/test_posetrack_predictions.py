"""Written predictions are read back unchanged, in the format and order of the ground truth."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.skeleton import JOINT_SLOTS
from pipeline.evaluation.metrics.posetrack_ap import match, score
from pipeline.evaluation.metrics.posetrack_pool import VideoPair, pool
from pipeline.prediction.posetrack_predictions import Poses, write_predictions
from tests.posetrack_documents import Document, add_person, as_2017, document, everywhere


def truth_file() -> Document:
    file = add_person(document(4, first_id=900), 1, everywhere(50, 60))
    return add_person(file, 3, everywhere(150, 60))


def poses(rng: np.random.Generator) -> Poses:
    return Poses(
        frame=np.array([3, 1, 3, 1, 0]),
        keypoints=rng.uniform(-20, 500, (5, 15, 2)),
        scores=rng.normal(size=(5, 15)),
        person_scores=rng.random(5),
        boxes_xywh=rng.uniform(1, 500, (5, 4)),
        track_ids=np.array([4, 8, 5, 9, 4]),
    )


@pytest.mark.parametrize("form", ["posetrack17", "posetrack18"])
def test_written_predictions_are_read_back(form: str, tmp_path: Path) -> None:
    file = truth_file() if form == "posetrack18" else as_2017(truth_file(), truth=True)
    source = tmp_path / "gt.json"
    source.write_text(json.dumps(file), encoding="utf-8")
    truth = read_annotations(source)
    predicted = poses(np.random.default_rng(0))
    write_predictions(tmp_path / "pred.json", truth, predicted)
    read = read_predictions(tmp_path / "pred.json")
    assert read.format == form
    assert read.file_names == truth.file_names
    assert read.image_ids.tolist() == truth.image_ids.tolist()
    order = [4, 1, 3, 0, 2]
    assert read.people.frame.tolist() == [0, 1, 1, 3, 3]
    assert read.people.track_id.tolist() == [4, 8, 9, 4, 5]
    joints = read.people.keypoints[:, JOINT_SLOTS, :2]
    assert np.abs(joints - predicted.keypoints[order]).max() <= 0.5e-4 + 1e-12
    assert np.array_equal(read.people.scores[:, JOINT_SLOTS], predicted.scores[order])
    assert np.array_equal(read.people.person_scores, predicted.person_scores[order])
    assert read.people.present[:, JOINT_SLOTS].all()


def test_ground_truth_written_as_predictions_scores_100(tmp_path: Path) -> None:
    source = tmp_path / "gt.json"
    source.write_text(json.dumps(truth_file()), encoding="utf-8")
    truth = read_annotations(source)
    people = truth.people
    exact = Poses(
        frame=people.frame.astype(np.int64),
        keypoints=people.keypoints[:, JOINT_SLOTS, :2],
        scores=np.ones((2, 15)),
        person_scores=np.ones(2),
        boxes_xywh=people.boxes_xywh,
        track_ids=np.full(2, -1),
    )
    write_predictions(tmp_path / "pred.json", truth, exact)
    pair = VideoPair("gt", truth, read_predictions(tmp_path / "pred.json"))
    assert score(match(pool([pair], "poseval")))["ap_total"] == 100.0
    assert score(match(pool([pair], "posetrack21")))["ap_total"] == 100.0


def test_people_without_tracks_are_numbered_within_their_frame(tmp_path: Path) -> None:
    source = tmp_path / "gt.json"
    source.write_text(json.dumps(truth_file()), encoding="utf-8")
    values = poses(np.random.default_rng(0))
    values.track_ids[:] = -1
    write_predictions(tmp_path / "pred.json", read_annotations(source), values)
    assert read_predictions(tmp_path / "pred.json").people.track_id.tolist() == [0, 0, 1, 0, 1]


@pytest.mark.parametrize("name", ["keypoints", "scores", "person_scores", "boxes_xywh"])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(
    name: str, tmp_path: Path
) -> None:
    source = tmp_path / "gt.json"
    source.write_text(json.dumps(truth_file()), encoding="utf-8")
    values = poses(np.random.default_rng(0))
    getattr(values, name)[3] = np.nan
    with pytest.raises(ValueError, match=f"frame 1: expected finite {name}, got"):
        write_predictions(tmp_path / "pred.json", read_annotations(source), values)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gt.json"]


def test_a_frame_that_the_ground_truth_does_not_have_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "gt.json"
    source.write_text(json.dumps(truth_file()), encoding="utf-8")
    values = poses(np.random.default_rng(0))
    values.frame[2] = 4
    with pytest.raises(ValueError, match="expected frames 0 to 3, got 0 to 4"):
        write_predictions(tmp_path / "pred.json", read_annotations(source), values)
