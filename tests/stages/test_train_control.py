"""Training of the controls: all four from caches, and which frames they look at."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.networks.weights import read_weights
from pipeline.training.run_folder import CHECKPOINT
from stages.train_control import app
from tests.killing import wait_until
from tests.pipeline.tiny_caches import (
    CLIPS_OF,
    STORED,
    clip_frame,
    values_of,
    write_clips,
    write_store,
)
from tests.stages.tiny_project import TRAINING, Project
from tests.toy_clone import ROOT

SECTION = {
    "maps": TRAINING | {"delta": 1, "channels": 8, "blocks": 1},
    "tokens": TRAINING
    | {"delta": 1, "width": 8, "decoder_channels": [8, 8], "decoder_kernels": [2, 2]},
    "weights": "none",
}


def make(folder: Path, changed: frozenset[int] = frozenset()) -> Project:
    """Make a project whose caches hold other values in the given frames."""
    project = Project(folder)
    for kind, crops in (("heatmaps", "hrnet"), ("tokens", "vit")):
        names = {f"{video}/v{i}": n for video, n in CLIPS_OF.items() for i in (0, 1)}
        units = {name: values_of(kind, name, rows) for name, rows in names.items()}
        for values in units.values():
            for frame in changed:
                values[:, frame] = 1
        write_store(project.data / kind / "train", kind, units)
        write_clips(project.data, crops, "train", clip_frame(2))
    return project


def trained(project: Project, system: str, section: dict[str, Any] = SECTION) -> bytes:
    result = project.run(app, "--system", system, train_control=section)
    assert result.exit_code == 0, result.output
    out = project.data / "runs" / system
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "weights.safetensors"]
    assert read_weights(out / "weights.safetensors")
    return (out / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("system", ["refine", "fuse", "vit", "fuse_vit"])
def test_controls_of_one_frame_see_the_key_frame_and_those_of_several_its_neighbors_too(
    tmp_path: Path, system: str
) -> None:
    key = STORED // 2
    plain = trained(make(tmp_path / "plain"), system)
    far = trained(make(tmp_path / "far", frozenset({0, STORED - 1})), system)
    near = trained(make(tmp_path / "near", frozenset({key - 1, key + 1})), system)
    middle = trained(make(tmp_path / "middle", frozenset({key})), system)
    assert far == plain  # beyond delta
    assert (near == plain) == (system in {"refine", "vit"})
    assert middle != plain


def test_params_of_the_other_input_do_not_make_another_run(tmp_path: Path) -> None:
    project = make(tmp_path / "repo")
    trained(project, "refine")
    runs = project.folder / ".dvc/cache/scratch/train_control"
    before = {path.name for path in runs.iterdir()}
    other = SECTION | {"tokens": SECTION["tokens"] | {"lr": 0.5}}
    project.run(app, "--system", "refine", train_control=other)
    assert {path.name for path in runs.iterdir()} == before


@pytest.mark.slow
def test_a_stage_that_is_killed_goes_on_from_its_checkpoint_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    steps = TRAINING | {"steps": 400, "milestones": [300]}
    section = SECTION | {"maps": SECTION["maps"] | steps}
    whole = trained(make(tmp_path / "whole"), "refine", section)
    project = make(tmp_path / "killed")
    # Refused for its system, but the params are written.
    project.run(app, "--system", "none", train_control=section)
    command = [sys.executable, "-m", "stages.train_control", "--system", "refine"]
    command += ["--data", str(project.data), "--params", str(project.params)]
    runs = project.folder / ".dvc/cache/scratch/train_control"

    def stamps() -> set[int]:
        return {file.stat().st_mtime_ns for file in runs.glob(f"*/{CHECKPOINT}")}

    generator = random.Random(0)  # noqa: S311
    for _ in range(2):
        stage = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        seen = stamps()
        wait_until(lambda seen=seen: stamps() != seen)
        time.sleep(generator.uniform(0, 0.3))
        stage.kill()
        assert stage.wait() == -signal.SIGKILL
        assert not (project.data / "runs").exists()
    assert trained(project, "refine", section) == whole


def test_a_system_that_is_no_control_is_refused(tmp_path: Path) -> None:
    result = make(tmp_path / "repo").run(app, "--system", "jmpose", train_control=SECTION)
    assert result.exit_code == 2
    assert "jmpose" in result.stderr
