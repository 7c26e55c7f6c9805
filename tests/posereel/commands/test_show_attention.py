"""The command that draws what a head looks at: a sheet for both heads, from caches and weights."""

from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline.pictures.attention import SCALE
from posereel.cli import load
from stages.train import app as train
from tests.pipeline.tiny_caches import CLIPS_OF, CROP, clip_frame, random_store, write_clips
from tests.stages.test_train import SECTION as VREMD
from tests.stages.test_train_jmpose import SECTION as JMPOSE
from tests.stages.tiny_project import Project

app = load("show-attention")

GAP = 4
CASES: list[tuple[str, str, dict[str, Any], tuple[str, ...], int]] = [
    # Pose, two flow fields, sampling points, modulation, masks of J and M in two layers, attention.
    ("jmpose", "hrnet", JMPOSE, ("heatmaps", "flow"), 10),
    # Pose, two masks on each of three frames, two trajectories.
    ("vremd", "vit", VREMD, ("tokens",), 9),
]


@pytest.fixture(params=CASES, ids=lambda case: case[0])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Project, str, int]:
    name, crops, section, kinds, columns = request.param
    project = Project(tmp_path / "repo")
    for kind in kinds:
        random_store(project.data / kind / "train", kind, 1, CLIPS_OF)
    random_store(project.data / "crops" / crops / "train", "crops", 1, CLIPS_OF)
    write_clips(project.data, crops, "train", clip_frame(1))
    result = project.run(train, "--system", name, **{f"train_{name}": section})
    assert result.exit_code == 0, result.output
    return project, name, columns


def test_a_sheet_shows_what_the_head_looks_at(
    trained: tuple[Project, str, int], tmp_path: Path
) -> None:
    project, name, columns = trained
    out = tmp_path / "sheet.png"
    result = project.run(app, name, "--split", "train", "--clips", "3", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "show-attention: 3 clips of train" in result.output
    height, width, _ = cv2.imread(str(out)).shape
    assert height == 3 * (CROP[0] * SCALE + GAP) + GAP
    assert width == columns * (CROP[1] * SCALE + GAP) + GAP


def test_an_unknown_joint_is_refused_in_one_line(trained: tuple[Project, str, int]) -> None:
    project, name, _ = trained
    result = project.run(app, name, "--split", "train", "--joint", "tail")
    assert result.exit_code == 1
    assert "--joint: expected one of" in result.output
    assert "got 'tail'" in result.output
