"""Command check-data: it counts videos, frames and people, and reports faults."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.core.manifest import read_manifest
from posereel.cli import load
from tests.official_trees import FRAMES, LAYOUTS, read_json, replace_text, write_tree
from tests.small_data_set import write_json

app = load("check-data")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def facts(root: Path, code: int = 0) -> dict[str, Any]:
    done = run(str(root), "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_recognized_and_counted(layout: str, tmp_path: Path) -> None:
    write_tree(tmp_path, layout)
    found = facts(tmp_path)
    assert found["data_set"] == ("posetrack18" if layout == "coco_video" else layout)
    assert found["faults"] == []
    videos, people = (2, 8) if layout == "coco_video" else (1, 6)
    for split in ("train", "val"):
        counts = found["splits"][split]
        assert counts["videos"] == videos
        assert counts["frames"] == videos * FRAMES
        assert (counts["missing"], counts["unreadable"]) == (0, 0)
        assert counts["people"] == people
        assert counts["joints"]["nose"] == counts["joints"]["right_ankle"] == people
    assert found["manifest"] is None


@pytest.mark.parametrize(("files", "release"), [(74, "0.2"), (170, "0.45"), (73, "unknown")])
def test_the_number_of_validation_files_determines_the_release_of_the_labels(
    files: int, release: str, tmp_path: Path
) -> None:
    write_tree(tmp_path, "posetrack18")
    text = (tmp_path / "annotations/val/v3.json").read_text()
    for number in range(1, files):
        (tmp_path / f"annotations/val/copy{number}.json").write_text(text)
    assert facts(tmp_path)["labels"].startswith(f"{release} ({files} validation files")


def test_the_table_lists_what_is_skipped_and_why(tmp_path: Path) -> None:
    write_tree(tmp_path, "posetrack18")
    file = tmp_path / "annotations/val/v3.json"
    content = read_json(file)
    first, second, third, fourth = content["annotations"][:4]
    first["bbox_head"] = [0, 0, 0, 0]
    second["keypoints"] = [0] * 51
    third["bbox"] = [85.0, 20.0, 16.0, 20.0]
    fourth["bbox"] = [9000.0, 20.0, 16.0, 20.0]
    write_json(file, content)

    found = facts(tmp_path)

    rows = {(row["what"], row["split"]): row["count"] for row in found["skipped"]}
    assert rows == {
        ("frames without labels", "train"): 2,
        ("frames without labels", "val"): 2,
        ("people without a labeled joint", "val"): 1,
        ("people with a box outside the image", "val"): 1,
        ("people in poseval's AP", "val"): 1,
    }
    assert found["splits"]["val"]["boxes_beyond"] == 2
    done = run(str(tmp_path))
    assert done.exit_code == 0
    assert "without a labeled joint" in done.stdout
    assert "next: posereel use-preset NAME" in done.stdout


def _files(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of all files and folders below a folder."""
    stats = {path.relative_to(root).as_posix(): path.stat() for path in root.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_written_to_the_folder_of_the_data_set(layout: str, tmp_path: Path) -> None:
    write_tree(tmp_path / "data", layout)
    before = _files(tmp_path)
    assert run(str(tmp_path / "data")).exit_code == 0
    assert _files(tmp_path) == before


def _coco_names(root: Path, *, heads: bool) -> None:
    """Replace the labels of a validation video by COCO's keypoints."""
    file = root / "annotations/val/v3.json"
    content = read_json(file)
    names: list[str] = content["categories"][0]["keypoints"]
    names[names.index("head_bottom")] = "left_eye"
    names[names.index("head_top")] = "right_eye"
    for person in content["annotations"]:
        person["keypoints"][2::3] = [2] * 17
        if not heads:
            del person["bbox_head"]
    write_json(file, content)


def test_labels_with_cocos_keypoints_are_checked_and_their_missing_joints_listed(
    tmp_path: Path,
) -> None:
    write_tree(tmp_path, "posetrack18")
    _coco_names(tmp_path, heads=True)
    found = facts(tmp_path)
    assert found["faults"] == []
    joints = found["splits"]["val"]["joints"]
    assert (joints["nose"], joints["head_bottom"], joints["head_top"]) == (6, 0, 0)
    why = {row["what"]: row["why"] for row in found["skipped"] if row["split"] == "val"}
    assert why["joints"] == "without labels, weight 0 in training: head_bottom, head_top"


def test_validation_labels_without_head_boxes_are_a_fault_with_its_reason(tmp_path: Path) -> None:
    write_tree(tmp_path, "posetrack18")
    _coco_names(tmp_path, heads=False)
    (fault,) = facts(tmp_path, code=1)["faults"]
    assert fault.startswith("v3.json: expected a head box (`bbox_head`) for every person")
    assert "PoseTrack AP measures distances in head sizes, got 6 of 6 people without" in fault
    # Training does not need them.
    for folder in ("annotations", "images"):
        (tmp_path / folder / "val").rename(tmp_path / folder / "other")
    for image in (content := read_json(tmp_path / "annotations/other/v3.json"))["images"]:
        image["file_name"] = image["file_name"].replace("images/val", "images/other")
    write_json(tmp_path / "annotations/train/v3.json", content)
    shutil.rmtree(tmp_path / "annotations/other")
    assert facts(tmp_path)["splits"]["train"]["videos"] == 2


def _remove_frame(root: Path) -> None:
    (root / "images/val/v3/000004.jpg").unlink()


def _move_folder(root: Path) -> None:
    (root / "images/val/v3").rename(root / "elsewhere")


def _truncate_image(root: Path) -> None:
    file = root / "images/val/v3/000001.jpg"
    file.write_bytes(file.read_bytes()[:-40])


def _empty_image(root: Path) -> None:
    (root / "images/val/v3/000001.jpg").write_bytes(b"")


def _damage_image(root: Path) -> None:
    file = root / "images/val/v3/000001.jpg"
    noise = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    data = bytearray(cv2.imencode(".jpg", noise)[1])
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(byte ^ 0x55 for byte in data[middle : middle + 200])
    file.write_bytes(data)


def _link_image_to_itself(root: Path) -> None:
    file = root / "images/val/v3/000001.jpg"
    file.unlink()
    file.symlink_to(file.name)


def _make_image_a_pipe(root: Path) -> None:
    (root / "images/val/v3/000001.jpg").unlink()
    os.mkfifo(root / "images/val/v3/000001.jpg")


def _make_image_a_folder(root: Path) -> None:
    (root / "images/val/v3/000001.jpg").unlink()
    (root / "images/val/v3/000001.jpg").mkdir()


def _change_height(root: Path) -> None:
    replace_text(root / "annotations/val/v3.json", '"height": 60', '"height": 61')


def _insert_nan(root: Path) -> None:
    replace_text(root / "annotations/val/v3.json", '"bbox_head": [', '"bbox_head": [NaN, ')


def _renumber_frame(root: Path) -> None:
    (root / "images/val/v3/000004.jpg").rename(root / "images/val/v3/000009.jpg")
    replace_text(root / "annotations/val/v3.json", "000004.jpg", "000009.jpg")


def _leave_data_set(root: Path) -> None:
    replace_text(root / "annotations/val/v3.json", "images/val/v3/000001", "../v3/000001")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove_frame, "'images/val/v3/000004.jpg' is not in the manifest"),
        (_move_folder, "expected this folder of an annotation, found nothing"),
        (_truncate_image, "000001.jpg: expected a complete image, got a damaged one"),
        (_empty_image, "000001.jpg: expected an image, got an empty file"),
        (_damage_image, "000001.jpg: expected a complete image, got a damaged one (Corrupt JPEG"),
        (_link_image_to_itself, "is not a valid path (Symlink loop"),
        (_make_image_a_pipe, "000001.jpg: expected an image file, found a named pipe"),
        (_make_image_a_folder, "000001.jpg: expected an image file, found a folder"),
        (_change_height, "expected images of 61 x 90"),
        (_renumber_frame, "expected evenly numbered frames"),
        (_leave_data_set, "expected a path inside"),
    ],
)
def test_damage_that_stops_the_pipeline_is_reported_as_a_fault(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write_tree(tmp_path, "posetrack18")
    damage(tmp_path)
    found = facts(tmp_path, code=1)
    assert any(message in fault for fault in found["faults"]), found["faults"]
    # The other split is counted nevertheless.
    assert found["splits"]["train"]["people"] == 6
    done = run(str(tmp_path))
    assert done.exit_code == 1
    assert message in " ".join(done.stdout.split())
    assert len(done.stderr.splitlines()) >= 1


def test_a_missing_frame_is_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, "posetrack18")
    _remove_frame(tmp_path)
    counts = facts(tmp_path, code=1)["splits"]["val"]
    assert (counts["frames"], counts["missing"]) == (FRAMES - 1, 1)


def test_annotations_that_are_not_valid_json_give_a_one_line_error(tmp_path: Path) -> None:
    write_tree(tmp_path, "posetrack18")
    _insert_nan(tmp_path)
    done = run(str(tmp_path))
    assert done.exit_code == 1
    assert "expected finite numbers, got NaN" in done.output
    assert len(done.output.splitlines()) == 1


def test_the_manifest_is_written_to_the_given_path(tmp_path: Path) -> None:
    write_tree(tmp_path / "data", "posetrack18")
    out = tmp_path / "frames.txt"
    done = run(str(tmp_path / "data"), "--manifest", str(out), "--json")
    assert json.loads(done.stdout)["manifest"] == str(out)
    assert len(read_manifest(out)) == 2 * FRAMES


def test_real_posetrack18_samples_are_counted(shared: Path, tmp_path: Path) -> None:
    samples = shared / "real/mmpose_tests_data/posetrack18"
    root = tmp_path / "data"
    shutil.copytree(samples / "images", root / "images")
    for file in (samples / "annotations/val").glob("*.json"):
        write_json(root / "annotations/val" / file.name, read_json(file))
    done = run(str(root), "--json")
    counts = json.loads(done.stdout)["splits"]["val"]
    # Reference numbers of these samples: 3 videos, one frame each, 14 people, 182 joints.
    assert (counts["videos"], counts["frames"], counts["people"]) == (3, 3, 14)
    assert sum(counts["joints"].values()) == 182
