"""The numbered list of docs/posetrack.md, command by command, with small files.

The commands are read from the page. Only files that are not available here are replaced: the data
set by one with its layout and two videos, checkpoints by random ones in their official naming
scheme (smaller networks of the same families), and sizes and training lengths in params.yaml.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models.optical_flow import raft_large
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

from models.hrnet.network import build_hrnet
from tests.official_trees import FRAMES, write_tree
from tests.toy_clone import ROOT, Clone

SMALLER = {"hrnet_w48": "hrnet_w32", "vitpose_l": "vitpose_s"}
MINIATURE = {
    "extract.workers": 1,
    "extract.threads": 1,
    "train.threads": 1,
    "crop.hrnet.height": 64,
    "crop.hrnet.width": 64,
    "crop.hrnet.delta": 1,
    "crop.variants": 1,
    "crop.mirror": False,
    "predict.flip": False,
    "flow.updates": 1,
    "finetune_backbone.variant": "w32",
    "finetune_backbone.weights": "data/weights/hrnet_w32.safetensors",
    "finetune_backbone.folds": 1,
    "tokens.variant": "vit_small",
    "tokens.weights": "data/weights/vitpose_s.safetensors",
    "train_jmpose.delta": 1,
    "train_jmpose.layers": 1,
    "train_vremd.width": 32,
    "train_vremd.heads": 2,
    "train_vremd.motion_heads": 2,
    "report.pictures": 1,
} | {
    f"{section}.{name}": value
    for section in ("finetune_backbone", "train_jmpose", "train_vremd")
    for name, value in (("epochs", 0), ("steps", 1), ("milestones", []), ("batch", 2))
}  # fmt: skip


def commands() -> list[list[str]]:
    """Return the words of every command in the numbered list, in its order."""
    text = (ROOT / "docs/posetrack.md").read_text()
    section = text.partition("\n## From the archives to the table\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d+\. .*(?:\n   .*)*", section, flags=re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", " ".join(" ".join(steps).split()))
    return [shlex.split(span) for span in spans if re.match(r"(posereel|dvc|git|make) ", span)]


def write_checkpoints(folder: Path) -> dict[str, str]:
    """Write random checkpoints and return their paths by the names that the page has for them."""
    torch.manual_seed(1)
    hrnet = build_hrnet("w32", joints=17).state_dict()
    torch.save({k.removeprefix("backbone."): v for k, v in hrnet.items()}, folder / "hrnet.pth")
    torch.save(raft_large(weights=None).state_dict(), folder / "raft.pth")
    config = VitPoseBackboneConfig(
        image_size=(256, 192), hidden_size=384, num_hidden_layers=12, out_indices=[12]
    )
    VitPoseForPoseEstimation(VitPoseConfig(backbone_config=config, num_labels=17)).save_pretrained(
        folder / "vitpose"
    )
    return {
        "pose_hrnet_w48_384x288.pth": str(folder / "hrnet.pth"),
        "raft-things.pth": str(folder / "raft.pth"),
        "vitpose-l.pth": str(folder / "vitpose"),
    }


def write_boxes(file: Path) -> None:
    """Write precomputed boxes of the validation video as DCPose has them."""
    boxes = [
        {
            "image_name": f"images/val/v3/{frame:06d}.jpg",
            "bbox": [left, 5.0, 30.0, 45.0],
            "score": 0.9,
            "category_id": 1,
            "nframes": FRAMES,
            "frame_id": frame,
        }
        for frame in (0, 2, 4)
        for left in (5.0, 50.0)
    ]
    file.write_text(json.dumps(boxes))


def test_the_list_leads_from_the_archives_to_the_report() -> None:
    names = [" ".join(words[: 2 + (words[0] == "git")]) for words in commands()]
    assert names == [
        "make setup", "posereel check-data", "posereel import-weights", "posereel import-weights",
        "posereel import-weights", "posereel use-preset", "posereel doctor", "posereel plan",
        "dvc repro", "posereel results", "git add data", "git commit --message",
    ]  # fmt: skip


@pytest.mark.slow
def test_every_command_of_the_list_runs_on_miniatures(tmp_path: Path, python: Path) -> None:
    write_tree(tmp_path / "archives", "posetrack18")
    write_boxes(tmp_path / "val_boxes.json")
    stand_ins = write_checkpoints(tmp_path) | SMALLER
    stand_ins |= {
        "DIR": str(tmp_path / "archives"),
        "val_boxes.json": str(tmp_path / "val_boxes.json"),
    }
    clone = Clone(tmp_path / "clone", python)
    for name in ("user.name", "user.email"):
        clone.git("config", name, "newcomer")
    printed = {}
    for given in commands():
        words = [stand_ins.get(word, word) for word in given]
        if words[0] == "posereel":  # the command of the environment, from this clone
            words = [sys.executable, "-m", *words]
        if words != ["make", "setup"]:  # that set up the Python which runs this test
            done = subprocess.run(
                words,
                cwd=clone.folder,
                env=clone.environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{words}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
            printed[words[-1]] = done.stdout
        if "use-preset" in words:
            clone.edit_params(MINIATURE)
    assert "jmpose" in printed["results"]
    facts = json.loads((clone.folder / "data/metrics/jmpose.provenance.json").read_text())
    assert facts["data_set"] == "posetrack18"
    assert facts["box_source"]["val"] == "file"
    assert "posetrack18" in (clone.folder / "data/report/index.html").read_text()
