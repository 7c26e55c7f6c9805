"""Command import-weights: published files become weights with a card, tracked by DVC."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from dvc.repo import Repo
from safetensors.torch import save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
)
from typer.testing import CliRunner

from models.base.weights import load_weights
from models.detection.person_detectors import TransformersPersonDetector
from models.hrnet.network import build_hrnet
from models.published.catalog import list_published
from models.published.vit import EXPERTS
from pipeline.core.networks.weights import REINITIALIZED_ROWS, read_metadata, read_weights
from posereel.cli import load
from posereel.commands.import_weights import _describe_keypoints, main
from tests.models.published.oracle_raft import literal_raft
from tests.models.published.random_tensors import fill_randomly
from tests.models.published.test_raft import official
from tests.tiny_detectors import save_transformers

app = load("import-weights")
run_app = load("run-network")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["dvc", "init", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def _inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def card(name: str) -> dict[str, Any]:
    return json.loads(Path(f"data/weights/{name}.json").read_text())


def test_an_official_raft_is_imported_and_gives_the_official_flow(tmp_path: Path) -> None:
    file = tmp_path / "raft-small.pth"
    torch.save({f"module.{name}": t for name, t in official("raft_small").items()}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    code, output = run(str(file), "--as", "raft_small", "--sha256", digest[:8])

    assert code == 0, output
    assert "naming official" in output
    assert Path("data/weights/raft_small.safetensors.dvc").is_file()
    facts = card("raft_small")
    assert facts["source_sha256"] == {"raft-small.pth": digest}
    assert (
        facts["sha256"]
        == hashlib.sha256(Path("data/weights/raft_small.safetensors").read_bytes()).hexdigest()
    )
    assert sum(line["tensors"] for line in facts["rules"]) == facts["tensors"] == 106
    assert str(tmp_path) not in json.dumps(facts)

    pairs = np.random.default_rng(1).integers(0, 256, (2, 2, 128, 128, 3), dtype=np.uint8)
    np.save(tmp_path / "in.npy", pairs)
    words = ["raft_small", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), "--updates", "2"]
    done = CliRunner().invoke(run_app, [*words, "--device", "cpu", "--batch", "1"])
    assert done.exit_code == 0, done.output
    first, second = torch.from_numpy(pairs).permute(1, 0, 4, 2, 3).float()
    with torch.no_grad():
        expected = literal_raft(first, second, official("raft_small"), updates=2)
    flow = np.load(tmp_path / "out.npy")
    assert flow.dtype == np.float32
    np.testing.assert_allclose(flow, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_detector_of_transformers_is_imported_as_a_folder(tmp_path: Path) -> None:
    save_transformers(tmp_path / "given", "d_fine")
    (tmp_path / "given/modeling.py").write_text("raise SystemExit\n")

    code, output = run(str(tmp_path / "given"), "--as", "my_dfine")

    assert code == 0, output
    folder = Path("data/weights/my_dfine")
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    assert Path("data/weights/my_dfine.dvc").is_file()
    assert card("my_dfine")["network"] == "detector of transformers"
    frames = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (1, 64, 64, 3), np.uint8))
    found = []
    for source in (tmp_path / "given", folder):
        model = AutoModelForObjectDetection.from_pretrained(source).eval()
        people = TransformersPersonDetector(model, AutoImageProcessor.from_pretrained(source))
        with torch.no_grad():
            found.append(people(frames)[0])
    assert len(found[0][0]) > 0
    assert torch.equal(found[0][0], found[1][0])


def test_a_folder_with_a_missing_tensor_is_rejected_and_nothing_is_written(tmp_path: Path) -> None:
    save_transformers(tmp_path / "given", "rt_detr")
    weights = read_weights(tmp_path / "given/model.safetensors")
    weights.pop(next(name for name in weights if name.endswith("fc1.weight")))
    save_file(weights, tmp_path / "given/model.safetensors", metadata={"format": "pt"})

    code, output = run(str(tmp_path / "given"), "--as", "broken")

    assert code == 1
    assert "fc1.weight" in output
    assert not Path("data/weights/broken").exists()
    assert not list(Path("data/weights").glob(".*import*"))


@pytest.mark.slow
def test_coco_weights_of_hrnet_record_their_reinitialized_rows(tmp_path: Path) -> None:
    torch.manual_seed(3)
    reference = build_hrnet("w32", joints=17)
    file = {k.removeprefix("backbone."): v for k, v in reference.state_dict().items()}
    torch.save(file, tmp_path / "pose_hrnet_w32_384x288.pth")

    code, output = run(str(tmp_path / "pose_hrnet_w32_384x288.pth"), "--as", "hrnet_w32")

    assert code == 0, output
    words = " ".join(output.split())
    assert "head_bottom, head_top were initialized randomly" in words
    assert "assumed to be the keypoints of COCO: this is usual for the naming official." in words
    assert "import the file again with --joints posetrack" in words
    facts = card("hrnet_w32")
    assert facts["reinitialised_rows"] == ["head_bottom", "head_top"]
    assert facts["keypoints"] == "coco"
    # The stage finetune_backbone reads this before it publishes unchanged weights.
    notes = read_metadata(Path("data/weights/hrnet_w32.safetensors"))
    assert notes == {REINITIALIZED_ROWS: "head_bottom head_top"}
    crops = np.random.default_rng(4).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "in.npy", crops)
    words = ["hrnet_w32", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), "--device", "cpu"]
    assert CliRunner().invoke(run_app, words).exit_code == 0
    with torch.no_grad():
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
        expected = reference(images).heatmaps.numpy()
    # JOINTS without head_bottom and head_top are COCO's joints 0 (nose) and 5 to 16.
    shared = [0, *range(3, 15)]
    heatmaps = np.load(tmp_path / "out.npy")
    np.testing.assert_allclose(heatmaps[:, shared], expected[:, [0, *range(5, 17)]], atol=1e-6)

    code, output = run(
        str(tmp_path / "pose_hrnet_w32_384x288.pth"), "--as", "hrnet_w32", "--joints", "posetrack"
    )
    assert code == 0, output
    assert card("hrnet_w32")["reinitialised_rows"] == []
    assert "assumed" not in output
    assert read_metadata(Path("data/weights/hrnet_w32.safetensors")) == {}
    network = build_hrnet("w32", joints=15)
    load_weights(network, read_weights(Path("data/weights/hrnet_w32.safetensors")), "f")
    assert torch.equal(network.final_layer.weight[:3], reference.final_layer.weight[:3])


def test_the_assumption_about_the_head_of_a_video_model_is_printed_with_its_option() -> None:
    facts = {"keypoints": "posetrack", "naming": "DCPose", "reinitialised_rows": []}
    text = _describe_keypoints(facts, chosen=False)
    assert "assumed to be the keypoints of PoseTrack: this is usual for the naming DCPose" in text
    assert "trained on COCO, like the one inside DCPose's model for PoseTrack17" in text
    assert text.endswith("import the file again with --joints coco.")
    assert "assumed" not in _describe_keypoints(facts, chosen=True)


def test_the_help_lists_every_network_and_every_expert() -> None:
    done = CliRunner().invoke(app, ["--help"], terminal_width=200)
    assert all(name in done.output for name in list_published())
    chosen, _ = get_args(get_args(get_type_hints(main, include_extras=True)["expert"])[0])
    assert get_args(chosen) == EXPERTS


def test_a_held_lock_of_dvc_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    save_file(official("raft_small"), tmp_path / "raft-small.safetensors")
    words = ["--as", "raft_small", "--weights", "locked"]
    with Repo(".").lock:
        code, output = run(str(tmp_path / "raft-small.safetensors"), *words)
    assert code == 1
    assert "`dvc add` failed: ERROR: Unable to acquire lock." in output
    assert list(Path("locked").iterdir()) == []


@pytest.mark.slow
def test_a_folder_of_transformers_with_vitpose_gives_its_tokens(tmp_path: Path) -> None:
    config = VitPoseBackboneConfig(
        image_size=(256, 192), hidden_size=384, num_hidden_layers=12, out_indices=[12]
    )
    reference = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=config, num_labels=17))
    fill_randomly(reference.eval(), seed=5, dtype=torch.float32)
    reference.save_pretrained(tmp_path / "vitpose")

    code, output = run(str(tmp_path / "vitpose"), "--as", "vitpose_s")

    assert code == 0, output
    crops = np.random.default_rng(6).integers(0, 256, (1, 256, 192, 3), dtype=np.uint8)
    np.save(tmp_path / "in.npy", crops)
    words = ["vitpose_s", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), "--device", "cpu"]
    assert CliRunner().invoke(run_app, words).exit_code == 0
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = torch.from_numpy((crops / 255 - mean) / std).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = reference.backbone(images).feature_maps[-1].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pth", "--as", "raft_small"], "none.pth: expected a checkpoint, found nothing"),
        (["f.pth", "--as", "raft/small"], "--as raft/small: expected lowercase letters"),
        (["f.pth", "--as", "heads"], "--as heads: expected lowercase letters"),
        (["f.pth", "--as", "hrnet_w64"], "--as hrnet_w64: expected one of ['hrnet_w32'"),
        (["f.pth", "--as", "raft_small", "--sha256", "0" * 64], "expected sha256 0000"),
        (["f.pth", "--as", "raft_small", "--joints", "coco"], "expected with an HRNet only"),
        (["f.pth", "--as", "hrnet_w48", "--expert", "coco"], "expected with a ViTPose only"),
        (["page.pth", "--as", "vitpose_l"], "page.pth: expected weights, got an HTML page"),
    ],
)
def test_invalid_arguments_give_a_one_line_error(arguments: list[str], message: str) -> None:
    Path("f.pth").write_bytes(b"no checkpoint")
    Path("page.pth").write_text("<!DOCTYPE html>\n<title>404</title>")
    Path("data/weights").mkdir(parents=True, exist_ok=True)
    before = sorted(Path("data").rglob("*"))
    code, output = run(*arguments)
    assert code == 1
    assert message in output
    assert len(output.splitlines()) == 1
    assert sorted(Path("data").rglob("*")) == before


def test_import_is_only_possible_in_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.pth").write_bytes(b"x")
    code, output = run("f.pth", "--as", "raft_small")
    assert code == 1
    assert "expected the root of the repository, which has .dvc" in output
