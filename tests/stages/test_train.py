"""Stage train with VREMD: its outputs, resumed runs, and errors."""

import csv
import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.heads.vremd.objective import VREMDObjective
from pipeline.core.caches.clip_table import read_clips
from pipeline.core.networks.weights import read_weights, write_weights
from pipeline.core.splits import video_share
from pipeline.training.head import NO_STEPS
from pipeline.training.history import History
from stages.train import app
from tests.pipeline.tiny_caches import CLIPS_OF, clip_frame, random_store, write_clips
from tests.stages.tiny_project import TRAIN, TRAINING, Project

ROOT = Path(__file__).resolve().parents[2]
VREMD = ("--system", "vremd")
NETWORK = {
    "delta": 1, "width": 16, "heads": 2, "mlp_ratio": 1, "human_depth": 1, "keypoint_depth": 1,
    "spatial_depth": 1, "temporal_depth": 1, "motion_depth": 1, "motion_heads": 2, "points": 2,
    "offset_range": 2.0, "decoder_channels": [8, 8], "decoder_kernels": [2, 2], "hkme": True,
    "bmd": True, "human_mask": True, "keypoint_mask": True,
    "sampler": "deformable_cross_attention", "separation": True, "position_scale": 0.5,
    "keypoint_hidden": 2, "transformer_rate": 0.2, "keypoint_loss": 1.0,
}  # fmt: skip
SECTION = NETWORK | TRAINING | {"weights": "none"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path / "repo")


def make(folder: Path, clips_of: dict[str, int] = CLIPS_OF) -> Project:
    project = Project(folder)
    random_store(project.data / "tokens/train", "tokens", 2, clips_of)
    write_clips(project.data, "vit", "train", clip_frame(2, clips_of))
    return project


def results(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.data / "runs/vremd").iterdir()}


def history(project: Project) -> list[dict[str, str]]:
    with (project.data / "runs/vremd/history.csv").open() as file:
        return list(csv.DictReader(file))


def test_weights_and_history_are_published_and_equal_in_every_clone(
    project: Project, tmp_path: Path
) -> None:
    result = project.run(app, *VREMD, train_vremd=SECTION)
    assert result.exit_code == 0, result.output
    assert "1 units computed, 0 reused" in result.output
    found = results(project)
    assert set(found) == {"weights.safetensors", "history.csv"}
    weights = read_weights(project.data / "runs/vremd/weights.safetensors")
    assert {tensor.dtype for tensor in weights.values()} <= {torch.float32, torch.int64}
    rows = history(project)
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [float(row["lr"]) for row in rows] == pytest.approx([5e-4] + [1e-3] * 3 + [1e-4] * 2)
    shares = {"share_enhanced", "share_joint_tokens", "share_motion"}
    assert set(rows[0]) == {"step", "epoch", "lr", "heatmap", "keypoint", "loss"} | shares
    # 11 clips in batches of 4 are 2 steps per epoch.
    noted = [row["step"] for row in rows if row["share_enhanced"]]
    assert noted == ["2", "4", "6"]
    assert all(0 <= float(rows[-1][share]) <= 1 for share in shares)
    clone = make(tmp_path / "clone")
    clone.run(app, *VREMD, train_vremd=SECTION)
    assert results(clone) == found


def test_an_interrupted_run_resumes_and_gives_the_same_bytes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = VREMDObjective.forward

    def interrupted(self: VREMDObjective, batch: dict[str, torch.Tensor]) -> object:
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("interrupted by the test")
        return forward(self, batch)

    monkeypatch.setattr(VREMDObjective, "forward", interrupted)
    with pytest.raises(RuntimeError, match="interrupted by the test"):
        project.run(app, *VREMD, train_vremd=SECTION)
    assert not (project.data / "runs/vremd").exists()
    calls[:] = [1] * 5
    assert project.run(app, *VREMD, train_vremd=SECTION).exit_code == 0
    assert len(calls) == 5 + 3  # from the checkpoint after step 3
    uninterrupted = make(tmp_path / "uninterrupted")
    monkeypatch.undo()
    uninterrupted.run(app, *VREMD, train_vremd=SECTION)
    assert results(project) == results(uninterrupted)
    # A finished run is published again without a training step.
    monkeypatch.setattr(VREMDObjective, "forward", interrupted)
    calls[:] = [1] * 5
    project.run(app, *VREMD, train_vremd=SECTION)
    assert len(calls) == 5
    assert results(project) == results(uninterrupted)


def test_changed_params_start_a_new_run(project: Project) -> None:
    project.run(app, *VREMD, train_vremd=SECTION)
    first = results(project)
    project.run(app, *VREMD, train_vremd=SECTION | {"lr": 0.002})
    assert results(project)["weights.safetensors"] != first["weights.safetensors"]
    project.run(
        app,
        *VREMD,
        train_vremd=SECTION,
        target={"occluded": "ignore", "sigma": {"hrnet": 1.5, "vit": 1.5}},
    )
    assert results(project)["weights.safetensors"] != first["weights.safetensors"]
    project.run(
        app, *VREMD, train=TRAIN | {"checkpoint_every": 100, "threads": 2}, train_vremd=SECTION
    )


def test_held_out_videos_are_not_trained_on_and_select_the_best_weights(project: Project) -> None:
    shares = {video: video_share(video) for video in CLIPS_OF}
    lowest = min(shares, key=shares.__getitem__)
    limit = (shares[lowest] + sorted(shares.values())[1]) / 2
    section = SECTION | {"steps": 0, "epochs": 3, "milestones": [2]}
    project.run(app, *VREMD, train_vremd=section, train=TRAIN | {"holdout": limit})
    rest = sum(CLIPS_OF.values()) - CLIPS_OF[lowest]
    assert len(history(project)) == 3 * (rest // TRAINING["batch"])
    assert set(results(project)) == {"weights.safetensors", "history.csv", "best.safetensors"}
    losses = [row["held_out"] for row in history(project) if row["held_out"]]
    assert len(losses) == 3
    failed = project.run(app, *VREMD, train_vremd=section, train=TRAIN | {"holdout": 0.999})
    assert failed.exit_code == 1
    assert "expected clips on both sides" in failed.stderr


@pytest.mark.parametrize("limit", [20_000, 80_000])
def test_a_training_on_a_disk_that_fills_up_ends_in_one_line_and_resumes_to_the_same_bytes(
    project: Project, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run(app, *VREMD, train_vremd=SECTION)
    expected = results(project)
    shutil.rmtree(project.data / "runs")
    shutil.rmtree(project.folder / ".dvc/cache/scratch/train")
    free = limit

    def write(descriptor: int, pieces: list[memoryview]) -> int:
        nonlocal free
        part = memoryview(b"".join(pieces))[: max(free, 0)]
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        free -= len(part)
        return os.write(descriptor, part)

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", write)
        failed = project.run(app, *VREMD)
    assert failed.exit_code == 1
    assert re.search(
        r"^train: /.*: No space left on device; free some space", failed.stderr, re.MULTILINE
    )
    assert not (project.data / "runs/vremd").exists()
    assert not list(project.folder.rglob("*.partial"))
    assert project.run(app, *VREMD).exit_code == 0
    assert results(project) == expected


def test_given_weights_are_published_and_nothing_is_trained(project: Project) -> None:
    project.run(app, *VREMD, train_vremd=SECTION)
    trained = read_weights(project.data / "runs/vremd/weights.safetensors")
    path = project.data / "weights/mine/vremd.safetensors"
    halves = {n: t.half() if t.is_floating_point() else t for n, t in trained.items()}
    write_weights(path, halves)
    given = SECTION | {"weights": "mine", "lr": 0.5}
    assert project.run(app, *VREMD, train_vremd=given).exit_code == 0
    published = read_weights(project.data / "runs/vremd/weights.safetensors")
    assert all(
        torch.equal(published[n], t.float()) for n, t in halves.items() if t.dtype == torch.half
    )
    assert history(project) == []
    wrong = project.run(app, *VREMD, train_vremd=given | {"width": 32})
    assert wrong.exit_code == 1
    assert "of another shape" in wrong.stderr
    missing = project.run(app, *VREMD, train_vremd=given | {"weights": "yours"})
    assert "yours/vremd.safetensors: expected a weights file, found nothing" in missing.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "expected epochs or steps above 0"),
        ({"epochs": 2}, "give epochs or steps"),
        ({"delta": 3}, "lower the head's delta or raise crop.hrnet.delta or crop.vit.delta"),
        ({"milestones": [7]}, "increasing numbers up to 6"),
        ({"hkme": False, "bmd": False}, "expected hkme or bmd"),
        ({"mystery": 1}, "train_vremd.mystery: unknown key"),
    ],
)
def test_invalid_params_give_a_one_line_error(
    project: Project, changes: dict[str, object], message: str
) -> None:
    result = project.run(app, *VREMD, train_vremd=SECTION | changes)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_empty_train_split_gives_an_error(tmp_path: Path) -> None:
    project = make(tmp_path / "repo", {})
    assert not len(read_clips(project.data / "clips/vit/train.parquet"))
    result = project.run(app, *VREMD, train_vremd=SECTION)
    assert result.exit_code == 1
    assert "clips/vit/train.parquet: expected clips to train on, found none" in result.stderr


def test_a_system_without_parameters_publishes_an_empty_history(tmp_path: Path) -> None:
    project = make(tmp_path / "repo")
    result = project.run(app, "--system", "hrnet", train_hrnet={})
    assert result.exit_code == 0, result.output
    out = project.data / "runs/hrnet"
    assert [path.name for path in out.iterdir()] == ["history.csv"]
    assert (out / "history.csv").read_text() == "step,epoch,lr\n"
    wrong = project.run(app, "--system", "hrnet", train_hrnet={"lr": 0.1})
    assert wrong.exit_code == 1


def test_an_unknown_system_is_rejected_with_the_list_of_systems(project: Project) -> None:
    for name in ("posenet", "../jmpose", "jmpose.network", ""):
        result = project.run(app, "--system", name, train_vremd=SECTION)
        assert result.exit_code == 1
        assert f"system {name!r}: expected a folder of models/heads: dcpose, " in result.stderr
        assert len(result.stderr.splitlines()) == 1


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from stages.train import app
app(sys.argv[1:])
"""


@pytest.mark.parametrize("system", ["vremd", "hrnet"])
def test_a_finished_run_is_published_again_without_torch(project: Project, system: str) -> None:
    options = ["--system", system]
    if system == "vremd":
        assert project.run(app, *options, train_vremd=SECTION).exit_code == 0
    else:
        project.run(app, "--system", "none", train_hrnet={})
    before = results(project) if system == "vremd" else {}
    shutil.rmtree(project.data / "runs", ignore_errors=True)
    options += ["--data", str(project.data), "--params", str(project.params)]
    command = [sys.executable, "-c", WITHOUT_TORCH, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = project.data / "runs" / system
    assert before.items() <= {path.name: path.read_bytes() for path in out.iterdir()}.items()


def test_an_unknown_key_is_rejected_although_a_run_without_it_is_finished(project: Project) -> None:
    assert project.run(app, *VREMD, train_vremd=SECTION).exit_code == 0
    wrong = project.run(app, *VREMD, train_vremd=SECTION | {"mystery": 1})
    assert wrong.exit_code == 1
    assert "train_vremd.mystery: unknown key, got 1" in wrong.stderr
    short = {key: value for key, value in SECTION.items() if key != "points"}
    missing = project.run(app, *VREMD, train_vremd=short)
    assert "train_vremd.points: missing key" in missing.stderr


def test_the_empty_history_equals_what_history_writes(tmp_path: Path) -> None:
    History().write(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == NO_STEPS
