"""Command liveness: the files that it writes, the tables that it prints, what it refuses."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from models.heads.fuse.network import Fuse
from pipeline.core.networks.weights import write_weights
from pipeline.core.skeleton import JOINT_SLOTS
from posereel.cli import load
from tests.pipeline.tiny_caches import K
from tests.stages.test_predict import CLIPS_OF, PREDICT, make_project, points_of
from tests.stages.tiny_project import Project

app = load("liveness")
PART = "supporting heatmaps := the key frame's"


def add_people(project: Project) -> None:
    """Add the people of all clips to the ground truth."""
    for video, count in CLIPS_OF.items():
        file = project.data / f"raw/annotations/val/{video}.json"
        document = json.loads(file.read_text())
        for clip in range(count):
            keypoints = np.zeros((17, 3))
            # clip_frame's transform: x_crop = x / 2 + 3 + clip, y_crop = y / 2 - 2.
            keypoints[JOINT_SLOTS, :2] = (points_of(video, clip, 0) - [3 + clip, -2]) * 2
            keypoints[JOINT_SLOTS, 2] = 1
            document["annotations"].append(
                {"id": clip, "image_id": 10 + clip // 2, "track_id": clip, "bbox": [0, 0, 60, 120],
                 "bbox_head": [0, 0, 12, 16], "keypoints": keypoints.ravel().tolist()}
            )  # fmt: skip
        file.write_text(json.dumps(document))


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("project") / "repo")
    add_people(project)
    torch.manual_seed(0)
    weights = Fuse(joints=K, frames=3, channels=8, blocks=1).state_dict()
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    weights["head.2.weight"] = torch.randn_like(weights["head.2.weight"])
    write_weights(project.data / "runs/fuse/weights.safetensors", weights)
    evaluate = {"protocol": "poseval", "hard_share": 0.2, "curve_points": 20}
    project.values |= {"predict": PREDICT, "evaluate": evaluate}
    return project


def test_the_file_holds_change_interval_and_share_of_every_part(project: Project) -> None:
    files = []
    for flip in (False, False, True):
        done = project.run(app, "fuse", predict=PREDICT | {"flip": flip})
        assert done.exit_code == 0, done.output
        files.append((project.data / "liveness/fuse.json").read_bytes())
    assert files[0] == files[1]
    plain, flipped = (json.loads(file) for file in files[1:])
    assert list(plain) == [PART]
    assert plain[PART].keys() == {"change", "low", "high", "share"}
    assert plain[PART]["low"] <= plain[PART]["change"] <= plain[PART]["high"]
    assert 0 < plain[PART]["share"] < 1
    assert flipped[PART]["share"] == plain[PART]["share"]


def test_the_table_shows_the_numbers_of_the_file(project: Project) -> None:
    shown = project.run(app, "fuse", "--markdown").stdout
    values = json.loads((project.data / "liveness/fuse.json").read_text())[PART]
    changes = [f"{values[name]:+.2f}" for name in ("change", "low", "high")]
    (row,) = (line for line in shown.splitlines() if line.startswith("| fuse"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "fuse", PART, *changes, f"{values['share']:.2f}",
    ]  # fmt: skip
    assert re.search(r"liveness: wrote \S*data/liveness/fuse.json\n$", shown)


@pytest.mark.parametrize("missing", ["runs/fuse", "heatmaps/val_gt", "clips/hrnet", "index"])
def test_a_missing_run_or_cache_is_one_line_with_the_command(
    missing: str, project: Project
) -> None:
    shutil.rmtree(project.data / missing)
    done = project.run(app, "fuse")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert f"data/{missing}" in done.stderr
    assert done.stderr.endswith("run `dvc repro predict@fuse`\n")


def test_a_system_without_parts_is_refused(project: Project) -> None:
    done = project.run(app, "hrnet")
    assert done.exit_code == 1
    assert "system 'hrnet': expected one with parts" in done.stderr
    assert not (project.data / "liveness/hrnet.json").exists()
