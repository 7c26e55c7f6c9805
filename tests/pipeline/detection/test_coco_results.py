"""Detection files: references to frames by id and by name, and malformed records."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.manifest import read_manifest, write_manifest
from pipeline.core.tables.schemas import FRAMES, VIDEOS
from pipeline.dataset.index import index_data_set
from pipeline.detection.coco_results import read_boxes
from tests.small_data_set import write_json

VIDEOS_TABLE = pd.DataFrame(
    [("v", "val", 3, 60, 90, "posetrack18", "val/v.json")], columns=VIDEOS.names
)
FRAMES_TABLE = pd.DataFrame(
    [
        ("v", "val", i, f"images/val/v/{i:06d}.jpg", "", (100, 101, -1)[i], True, i, "", "")
        for i in range(3)
    ],
    columns=FRAMES.names,
)
VALID = {"image_id": 101, "category_id": 1, "bbox": [1.5, 2, 30, 40], "score": 0.5}


def read(tmp_path: Path, content: object, score_min: float = 0.2) -> pd.DataFrame:
    write_json(tmp_path / "boxes.json", content)
    return read_boxes(tmp_path / "boxes.json", FRAMES_TABLE, VIDEOS_TABLE, score_min)


def test_coco_results_are_matched_by_image_id(tmp_path: Path) -> None:
    table = read(tmp_path, [VALID, VALID | {"image_id": 100, "score": 0.9}, VALID | {"score": 0.8}])
    assert list(table["frame"]) == [0, 1, 1]
    assert list(table["row"]) == [0, 0, 1]
    assert list(table["score"]) == [0.9, 0.8, 0.5]
    np.testing.assert_allclose(table[["x", "y", "w", "h"]].iloc[2], [1.5, 2, 30, 40])
    assert set(table["source"]) == {"file"}


@pytest.mark.parametrize(
    "name", ["images/val/v/000002.jpg", "v/000002.jpg", "images_renamed/v/000002.jpg"]
)
def test_records_of_dcpose_are_matched_by_folder_and_file_name(name: str, tmp_path: Path) -> None:
    record = {
        "image_name": name,
        "bbox": [1, 2, 30, 40],
        "score": 0.93,
        "category_id": 1,
        "nframes": 3,
        "frame_id": 10_000,
    }
    assert list(read(tmp_path, [record])["frame"]) == [2]


def test_other_categories_low_scores_and_unknown_frames_are_ignored(tmp_path: Path) -> None:
    others = [VALID | {"category_id": 2}, VALID | {"score": 0.19}, VALID | {"image_id": 7}]
    assert len(read(tmp_path, [VALID, *others])) == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"bbox": [1, 2, 3]}, "record 1: expected {image_id"),
        ({"bbox": [1, 2, "x", 4]}, "record 1: expected {image_id"),
        ({"bbox": None}, "record 1: expected {image_id"),
        ({"score": None}, "record 1: expected {image_id"),
        ({"bbox": [1, 2, 0, 4]}, "record 1: expected positive width and height"),
        ({"bbox": [5, 5, -3, 4]}, "record 1: expected positive width and height"),
        ({"score": 1.5}, "score 1.5"),
        ({"image_id": [1]}, "record 1: expected {image_id"),
        ({"image_name": 5}, "record 1: expected {image_id"),
    ],
)
def test_a_malformed_record_is_named(
    record: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, [VALID, VALID | record])


@pytest.mark.parametrize("missing", ["image_id", "category_id", "bbox", "score"])
def test_a_missing_key_is_named(missing: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"'{missing}'"):
        read(tmp_path, [{key: value for key, value in VALID.items() if key != missing}])


def test_a_number_that_is_not_finite_raises_an_error(tmp_path: Path) -> None:
    text = json.dumps([VALID]).replace("0.5", "NaN")
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(ValueError, match="expected finite numbers, got NaN"):
        read_boxes(tmp_path / "boxes.json", FRAMES_TABLE, VIDEOS_TABLE, 0.2)


def test_a_missing_file_and_a_file_without_list_raise_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a list of COCO results, got dict"):
        read(tmp_path, {"annotations": []})
    with pytest.raises(ValueError, match="expected a JSON file, found nothing"):
        read_boxes(tmp_path / "none.json", FRAMES_TABLE, VIDEOS_TABLE, 0.2)


@pytest.mark.parametrize("content", [[], [VALID | {"image_id": 7}]])
def test_a_file_of_another_data_set_raises_an_error(content: list[object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected boxes of people in the 3 frames"):
        read(tmp_path, content)


def test_an_empty_split_needs_no_boxes(tmp_path: Path) -> None:
    write_json(tmp_path / "boxes.json", [])
    table = read_boxes(tmp_path / "boxes.json", FRAMES_TABLE[:0], VIDEOS_TABLE[:0], 0.2)
    assert len(table) == 0


def test_an_ambiguous_image_id_raises_an_error(tmp_path: Path) -> None:
    twice = pd.concat([FRAMES_TABLE, FRAMES_TABLE.assign(video="w", file="w/1.jpg")])
    write_json(tmp_path / "boxes.json", [VALID])
    with pytest.raises(ValueError, match="use image_name"):
        read_boxes(tmp_path / "boxes.json", twice, VIDEOS_TABLE, 0.2)


def test_the_real_detections_of_posetrack18_are_read(shared: Path, tmp_path: Path) -> None:
    samples = shared / "real/mmpose_tests_data/posetrack18"
    for file in (samples / "annotations/val").glob("*.json"):
        write_json(tmp_path / "annotations/val" / file.name, json.loads(file.read_text()))
    frames = [file.relative_to(samples).as_posix() for file in samples.glob("images/val/*/*.jpg")]
    write_manifest(tmp_path / "frames.manifest", samples, frames)
    manifest = read_manifest(tmp_path / "frames.manifest")
    index = index_data_set(tmp_path / "annotations", manifest, samples)
    source = samples / "annotations/test_posetrack18_human_detections.json"
    table = read_boxes(source, index.frames, index.videos, 0.5)
    expected = [record for record in json.loads(source.read_text()) if record["score"] >= 0.5]
    assert len(table) == len(expected) == 62
    np.testing.assert_allclose(sorted(table["score"]), sorted(r["score"] for r in expected))
