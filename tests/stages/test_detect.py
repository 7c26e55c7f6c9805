"""Stage detect: every kind of boxes, incremental runs, and error messages."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.detection.network import PERSON
from pipeline.core.networks.weights import write_weights
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import BOXES
from stages import index
from stages.detect import app
from tests.small_data_set import (
    Workspace,
    document,
    make_data_set,
    picture,
    write_frames_manifest,
    write_json,
    write_video,
)
from tests.tiny_detectors import random_fcos, save_transformers


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the small data set and its index."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as monkeypatch:
        workspace = Workspace(folder, monkeypatch)
        make_data_set(workspace.root)
        workspace.run(index.app)
    return folder


@pytest.fixture
def workspace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return Workspace(tmp_path, monkeypatch, template)


def boxes(split: str) -> pd.DataFrame:
    return read_table(Path(f"data/boxes/{split}.parquet"), BOXES)


def use_fcos(workspace: Workspace, **changes: object) -> None:
    write_weights(workspace.root / "detector.safetensors", random_fcos().state_dict())
    workspace.set_params(detect__kind="torchvision", detect__score_min=0.1, **changes)


@pytest.mark.parametrize(("split", "count"), [("train", 12), ("val", 6), ("val_gt", 6)])
def test_annotated_boxes_have_score_1(split: str, count: int, workspace: Workspace) -> None:
    result = workspace.run(app, "--split", split)
    assert result.exit_code == 0
    table = boxes(split)
    assert len(table) == count
    assert set(table["score"]) == {1.0}
    assert set(table["frame"]) == {0, 2, 4}
    assert set(table["person"]) == {0, 1}
    assert json.loads(Path(f"data/units/detect/{split}.json").read_text()) == {}


def test_people_who_are_left_out_are_counted_by_reason(workspace: Workspace) -> None:
    content = document("val", 3)
    content["annotations"][0]["bbox"] = [9000.0, 0.0, 16.0, 20.0]
    content["annotations"][1]["keypoints"] = [0] * 51
    write_json(workspace.root / "annotations/val/v3.json", content)
    workspace.run(index.app)
    result = workspace.run(app, "--split", "val_gt")
    assert result.exit_code == 0
    assert "detect: 1 people with a box outside the image are left out" in result.stderr
    assert "detect: 1 people without a labeled joint are left out" in result.stderr
    assert len(boxes("val_gt")) == 4


def test_boxes_of_a_file_are_used_for_val_only(workspace: Workspace) -> None:
    record = {"image_id": 3001, "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.9}
    write_json(workspace.root / "detections.json", [record])
    workspace.set_params(detect__kind="file")
    for split in ("train", "val", "val_gt"):
        assert workspace.run(app, "--split", split).exit_code == 0
    assert list(boxes("val").iloc[0]) == ["v3", 1, 0, 5, 6, 7, 8, 0.9, -1, "file"]
    assert set(boxes("train")["source"]) == set(boxes("val_gt")["source"]) == {"ground_truth"}


def test_boxes_of_torchvision_equal_the_output_of_the_network_on_labeled_frames(
    workspace: Workspace,
) -> None:
    use_fcos(workspace)
    result = workspace.run(app, "--split", "val")
    assert result.exit_code == 0
    table = boxes("val")
    network = random_fcos()
    with torch.inference_mode():
        frame = torch.from_numpy(picture(3, 2)).permute(2, 0, 1) / 255
        output = network([frame])[0]
    found = table[table["frame"] == 2]
    corners = output["boxes"].numpy()
    # Random boxes may have no area, or be outside the image: the stage drops those.
    visible = (corners[:, 0] < 89) & (corners[:, 1] < 59) & (corners[:, 2:] > 0).all(1)
    visible &= (corners[:, 2:] > corners[:, :2]).all(1) & (output["scores"].numpy() >= 0.1)
    visible &= output["labels"].numpy() == PERSON
    np.testing.assert_allclose(found["score"], output["scores"][visible], rtol=1e-4)
    np.testing.assert_allclose(found[["x", "y"]], corners[visible, :2], atol=1e-3)
    assert len(found) > 0
    assert set(table["frame"]) == {0, 2, 4}
    assert set(table["source"]) == {"torchvision"}


def test_all_frames_are_detected_if_all_are_key_frames(workspace: Workspace) -> None:
    use_fcos(workspace, crop__key_frames="all")
    workspace.run(app, "--split", "val")
    assert set(boxes("val")["frame"]) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("name", ["rt_detr", "d_fine"])
def test_a_model_folder_of_transformers_gives_boxes(
    name: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    save_transformers(workspace.folder / "model", name)
    workspace.set_params(
        detect__kind="transformers", detect__weights="model", detect__score_min=0.06
    )
    result = workspace.run(app, "--split", "val")
    assert result.exit_code == 0
    assert len(boxes("val")) > 0
    assert set(boxes("val")["source"]) == {"transformers"}


def test_only_a_new_video_is_detected_and_the_table_equals_that_of_a_new_run(
    workspace: Workspace,
) -> None:
    use_fcos(workspace)
    assert "1 units computed, 0 reused" in workspace.run(app, "--split", "val").output
    write_video(workspace.root, "val", 4)
    write_frames_manifest(workspace.root)
    workspace.run(index.app)
    assert "1 units computed, 1 reused" in workspace.run(app, "--split", "val").output
    together = workspace.files("data/boxes")
    listing = json.loads(Path("data/units/detect/val.json").read_text())
    assert list(listing) == ["v3", "v4"]
    (workspace.folder / ".dvc/cache").rename(workspace.folder / "elsewhere")
    assert "2 units computed, 0 reused" in workspace.run(app, "--split", "val").output
    assert workspace.files("data/boxes") == together
    (workspace.root / "annotations/val/v4.json").unlink()
    workspace.run(index.app)
    assert "0 units computed, 1 reused" in workspace.run(app, "--split", "val").output
    assert set(boxes("val")["video"]) == {"v3"}


def test_a_new_clone_reuses_the_units_of_the_published_table(workspace: Workspace) -> None:
    use_fcos(workspace)
    workspace.run(app, "--split", "val")
    published = workspace.files("data/boxes")
    # The state after `dvc pull`: the objects that dvc.lock names, and no scratch folder.
    outs = []
    shutil.rmtree(".dvc/cache")
    for path in ("data/boxes/val.parquet", "data/units/detect/val.json"):
        content = Path(path).read_bytes()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        cached = Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]
        cached.parent.mkdir(parents=True)
        cached.write_bytes(content)
        Path(path).unlink()
        outs.append({"path": path, "md5": digest})
    write_json(workspace.folder / "dvc.lock", {"stages": {"detect@val": {"outs": outs}}})
    assert "0 units computed, 1 reused" in workspace.run(app, "--split", "val").output
    assert workspace.files("data/boxes") == published
    shutil.rmtree(".dvc/cache/scratch")
    use_fcos(workspace, detect__batch=1)
    assert "1 units computed, 0 reused" in workspace.run(app, "--split", "val").output


@pytest.mark.parametrize("changed", ["score_min", "weights", "frame"])
def test_changes_of_threshold_weights_or_frames_detect_again(
    changed: str, workspace: Workspace
) -> None:
    use_fcos(workspace)
    workspace.run(app, "--split", "val")
    if changed == "score_min":
        workspace.set_params(detect__kind="torchvision", detect__score_min=0.15)
    elif changed == "weights":
        tensors = random_fcos().state_dict()
        tensors["head.classification_head.cls_logits.bias"].add_(0.5)
        write_weights(workspace.root / "detector.safetensors", tensors)
    else:
        (workspace.root / "images/val/v3/000002.png").write_bytes(
            (workspace.root / "images/val/v3/000003.png").read_bytes()
        )
        write_frames_manifest(workspace.root)
        workspace.run(index.app)
    assert "1 units computed, 0 reused" in workspace.run(app, "--split", "val").output


def test_a_slice_computes_its_units_and_publishes_nothing(workspace: Workspace) -> None:
    use_fcos(workspace)
    result = workspace.run(app, "--split", "val", "--units", "0/2")
    assert "computed a slice, published nothing: 1 units computed" in result.output
    assert not Path("data/boxes").exists() or not list(Path("data/boxes").iterdir())
    assert "0 units computed, 1 reused" in workspace.run(app, "--split", "val").output


@pytest.mark.parametrize("kind", ["ground_truth", "file", "torchvision"])
def test_an_empty_split_gives_an_empty_table(kind: str, workspace: Workspace) -> None:
    (workspace.root / "annotations/val/v3.json").unlink()
    write_json(workspace.root / "detections.json", [])
    workspace.run(index.app)
    use_fcos(workspace)
    workspace.set_params(detect__kind=kind)
    result = workspace.run(app, "--split", "val")
    assert result.exit_code == 0
    assert len(boxes("val")) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detect__kind": "yolo"}, "detect.kind"),
        ({"detect__score_min": 2.0}, "detect.score_min"),
        ({"detect__kind": "file"}, "expected a JSON file, found nothing"),
        ({"detect__kind": "torchvision"}, "expected the file with the weights"),
        ({"detect__kind": "transformers"}, "expected the folder with the weights"),
        ({"detect__kind": "transformers", "detect__weights": "raw"}, "model.safetensors"),
    ],
)
def test_invalid_settings_give_a_one_line_error(
    changes: dict[str, object], message: str, workspace: Workspace
) -> None:
    workspace.set_params(**changes)
    result = workspace.run(app, "--split", "val")
    assert result.exit_code == 1
    assert message in result.stderr
    assert not Path("data/boxes/val.parquet").exists()


def test_a_damaged_frame_is_named_and_its_video_fails(workspace: Workspace) -> None:
    use_fcos(workspace)
    (workspace.root / "images/val/v3/000002.png").write_bytes(b"")
    result = workspace.run(app, "--split", "val")
    assert result.exit_code == 1
    assert "000002.png: expected an image, got an empty file" in result.stderr
    assert "1 of 1 units failed" in result.stderr
    assert not Path("data/boxes/val.parquet").exists()
