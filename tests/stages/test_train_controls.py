"""Stage train with the controls: the frames that they read, their schedules, resumed runs."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.networks.weights import read_weights
from pipeline.training.run_folder import CHECKPOINT
from stages.train import app
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

SCHEDULE = TRAINING | {"delta": 1, "weights": "none"}
CONV = {"weights": "none", "schedule": "jmpose", "channels": 8, "blocks": 1}
DECODER = {
    "weights": "none", "schedule": "vremd", "decoder_channels": [8, 8], "decoder_kernels": [2, 2],
}  # fmt: skip
SECTIONS: dict[str, Any] = {
    "train_jmpose": SCHEDULE, "train_vremd": SCHEDULE, "train_refine": CONV, "train_fuse": CONV,
    "train_mean": {"schedule": "jmpose"},
    "train_vit": DECODER, "train_fuse_vit": DECODER | {"width": 8},
}  # fmt: skip


def make(folder: Path, changed: frozenset[int] = frozenset()) -> Project:
    """Make a project whose caches have different values in the given frames."""
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


def train_control(project: Project, system: str, sections: dict[str, Any] = SECTIONS) -> bytes:
    result = project.run(app, "--system", system, **sections)
    assert result.exit_code == 0, result.output
    out = project.data / "runs" / system
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "weights.safetensors"]
    assert read_weights(out / "weights.safetensors")
    return (out / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("system", ["refine", "fuse", "vit", "fuse_vit"])
def test_controls_read_the_key_frame_and_fusing_controls_also_its_neighbors(
    tmp_path: Path, system: str
) -> None:
    key = STORED // 2
    plain = train_control(make(tmp_path / "plain"), system)
    far = train_control(make(tmp_path / "far", frozenset({0, STORED - 1})), system)
    near = train_control(make(tmp_path / "near", frozenset({key - 1, key + 1})), system)
    middle = train_control(make(tmp_path / "middle", frozenset({key})), system)
    assert far == plain  # outside delta
    assert (near == plain) == (system in {"refine", "vit"})
    assert middle != plain


def test_a_control_without_parameters_has_an_empty_history_and_no_weights(tmp_path: Path) -> None:
    project = make(tmp_path / "repo")
    result = project.run(app, "--system", "mean", **SECTIONS)
    assert result.exit_code == 0, result.output
    (file,) = (project.data / "runs/mean").iterdir()
    assert file.read_text() == "step,epoch,lr\n"


def run_folders(project: Project) -> set[str]:
    return {path.name for path in (project.folder / ".dvc/cache/scratch/train").iterdir()}


def test_a_control_depends_only_on_the_schedule_of_its_head(
    tmp_path: Path,
) -> None:
    project = make(tmp_path / "repo")
    train_control(project, "refine")
    before = run_folders(project)
    others = {"train_vremd": SCHEDULE | {"lr": 0.5}, "train_jmpose": SCHEDULE | {"layers": 7}}
    train_control(project, "refine", SECTIONS | others)
    assert run_folders(project) == before
    train_control(project, "refine", SECTIONS | {"train_jmpose": SCHEDULE | {"seed": 4}})
    assert len(run_folders(project)) == 2


@pytest.mark.parametrize(
    ("system", "sections", "message"),
    [
        ("refine", {"train_refine": CONV | {"lr": 0.1}}, "train_refine.lr: unknown key"),
        ("refine", {"train_refine": CONV | {"schedule": "fuse"}}, "got 'fuse'"),
        ("refine", {"train_refine": CONV | {"schedule": "unknown"}}, "train_unknown"),
        ("refine", {"train_refine": CONV | {"blocks": 0}}, "train_refine.blocks: "),
        ("vit", {"train_vit": DECODER | {"decoder_channels": []}}, "train_vit.decoder_channels: "),
        ("fuse_vit", {"train_fuse_vit": DECODER}, "train_fuse_vit.width: missing key"),
        ("mean", {"train_mean": {}}, "train_mean: expected a schedule, or the name of a head"),
        ("mean", {"train_mean": {"schedule": "jmpose", "blocks": 4}}, "mean.blocks: unknown key"),
        ("fuse", {"train_jmpose": {"delta": 1}}, "train_jmpose.steps: missing key"),
    ],
)
def test_invalid_sections_give_a_one_line_error(
    tmp_path: Path, system: str, sections: dict[str, Any], message: str
) -> None:
    result = make(tmp_path / "repo").run(app, "--system", system, **(SECTIONS | sections))
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_killed_stage_resumes_at_its_checkpoint_and_gives_the_same_bytes(
    tmp_path: Path,
) -> None:
    steps = TRAINING | {"steps": 400, "milestones": [300]}
    sections = SECTIONS | {"train_jmpose": SCHEDULE | steps}
    expected = train_control(make(tmp_path / "uninterrupted"), "refine", sections)
    project = make(tmp_path / "killed")
    # Rejected because of its system, but it writes the params file.
    project.run(app, "--system", "none", **sections)
    command = [sys.executable, "-m", "stages.train", "--system", "refine"]
    command += ["--data", str(project.data), "--params", str(project.params)]
    runs = project.folder / ".dvc/cache/scratch/train"

    def checkpoint_times() -> set[int]:
        return {file.stat().st_mtime_ns for file in runs.glob(f"*/{CHECKPOINT}")}

    generator = random.Random(0)  # noqa: S311
    for _ in range(2):
        stage = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        seen = checkpoint_times()
        wait_until(lambda seen=seen: checkpoint_times() != seen)
        time.sleep(generator.uniform(0, 0.3))
        stage.kill()
        assert stage.wait() == -signal.SIGKILL
        assert not (project.data / "runs/refine").exists()
    assert train_control(project, "refine", sections) == expected
